"""Time a model folder in this process."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgetl.runtime import golden, host
from edgetl.runtime.closed_loop import WARM_UP_LIMIT_S, Now, Run, take_runs, warm_up
from edgetl.runtime.errors import BundleError
from edgetl.runtime.image_file import read_fitted
from edgetl.runtime.interference import Disturbance, Watch
from edgetl.runtime.latency import Latency
from edgetl.runtime.predictor import Predictor
from edgetl.runtime.sensors import EnergyMeter, Sensors
from edgetl.runtime.sustained import Sustained, sustain
from edgetl.runtime.timing_plan import TimingPlan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from edgetl.runtime.engines import Session, TensorInfo


def measure(
    folder: Path, *, threads: int, plan: TimingPlan, sustained_minutes: float = 0.0
) -> Latency:
    """Time the model folder `folder` in this process.

    Call it in a separate process: loading time and memory are those of the process.

    Args:
        folder: A model folder with golden samples.
        threads: Threads per inference; see `Predictor.open`.
        plan: Duration and number of runs.
        sustained_minutes: Length of a sustained measurement after the runs; 0 for none.

    Raises:
        EdgetlRuntimeError: If the folder cannot be opened, or has no golden samples.
    """
    model = OpenModel(folder, threads)
    runs: list[Run] = []
    peak_memory_bytes = None
    for run in take_runs(model.work, model.now, plan, model.observer):
        runs.append(run)
        if len(runs) == 1:
            # Later readings would include the collected samples.
            peak_memory_bytes = host.peak_memory_bytes()
    sustained = model.sustain(sustained_minutes) if sustained_minutes > 0 else None
    return model.latency(plan, runs, peak_memory_bytes, sustained)


class OpenModel:
    """A model folder that is open and warm, and what opening it took.

    Args:
        folder: A model folder with golden samples.
        threads: Threads per inference; see `Predictor.open`.
        warm_up_s: Time after which the warm-up ends, seconds.

    Raises:
        EdgetlRuntimeError: If the folder cannot be opened, or has no golden samples.
    """

    def __init__(self, folder: Path, threads: int, warm_up_s: float = WARM_UP_LIMIT_S) -> None:
        self.now: Now = time.perf_counter_ns
        started = self.now()
        self._predictor = Predictor.open(folder, threads)
        self._load_ns = self.now() - started
        self.work = PredictorWork(self._predictor, self.now)
        started = self.now()
        self.work.model()
        self._first_ns = self.now() - started
        self._warm_up = warm_up(self.work.model, self.now, limit_s=warm_up_s)
        # Loads the image decoders, too.
        self.work.end_to_end()
        self._sensors = Sensors()
        self.observer = _MachineObserver(self._sensors)

    def sustain(self, minutes: float) -> Sustained:
        """Run the model without a pause."""
        return sustain(self.work.model, self.now, minutes=minutes, sensors=self._sensors)

    def latency(
        self,
        plan: TimingPlan,
        runs: Sequence[Run],
        peak_memory_bytes: int | None,
        sustained: Sustained | None,
    ) -> Latency:
        """Return the measurement that consists of `runs`."""
        return Latency(
            engine=self._predictor.session.engine,
            provider=self._predictor.contract.provider,
            threads=self._predictor.threads,
            plan=plan,
            load_ns=self._load_ns,
            first_ns=self._first_ns,
            warm_up=self._warm_up,
            runs=tuple(runs),
            peak_memory_bytes=peak_memory_bytes,
            host=host.fingerprint(),
            sustained=sustained,
        )


class PredictorWork:
    """Predicts the golden samples of a model folder in a cycle."""

    def __init__(self, predictor: Predictor, now: Now) -> None:
        contract = predictor.contract
        samples = golden.load(predictor.folder, contract)
        count = min(len(values) for values in samples.inputs.values())
        if not count or (contract.images and not len(samples.fitted)):
            raise BundleError(
                f"{predictor.folder} has no golden samples to time", remedy="export the model again"
            )
        self._session = _TimedSession(predictor.session, now)
        self._predictor = replace(predictor, session=self._session)
        self._model = predictor.session
        self._now = now
        self._takes_image = len(contract.inputs) == 1 and bool(contract.images)
        rows = [
            {name: values[i : i + 1] for name, values in samples.inputs.items()}
            for i in range(count)
        ]
        self._rows = itertools.cycle(rows)
        self._tensor_rows = itertools.cycle(
            [{spec.tensor: row[spec.name] for spec in contract.inputs} for row in rows]
        )
        self._images = itertools.cycle(
            [predictor.folder / golden.image_file(i) for i in range(len(samples.fitted))]
        )

    def model(self) -> None:
        """Run the model on the next sample."""
        self._model.run(next(self._tensor_rows))

    def end_to_end(self) -> tuple[int, int]:
        """Predict the next sample; return the nanoseconds before and after the model."""
        predictor = self._predictor
        size = None
        started = self._now()
        if self._takes_image:
            spec = predictor.contract.image
            pixels, size = read_fitted(next(self._images), spec.preprocess)
            inputs = {spec.name: pixels[np.newaxis]}
        else:
            inputs = next(self._rows)
        fitted = self._now()
        predictor.predict_inputs(inputs, size)
        return fitted - started, self._now() - fitted - self._session.last_ns


class _TimedSession:
    """A session that records the duration of its last inference."""

    def __init__(self, session: Session, now: Now) -> None:
        self._session = session
        self._now = now
        self.last_ns = 0

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """The inputs in the order of the file."""
        return self._session.inputs

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """The outputs in the order of the file."""
        return self._session.outputs

    @property
    def engine(self) -> str:
        """Package and version."""
        return self._session.engine

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Return the outputs by name; see `Session.run`."""
        started = self._now()
        outputs = self._session.run(inputs)
        self.last_ns = self._now() - started
        return outputs


class _MachineObserver:
    """Observes this machine; see `edgetl.runtime.closed_loop.Observer`."""

    def __init__(self, sensors: Sensors) -> None:
        self._sensors = sensors
        self.begin()

    def begin(self) -> None:
        """Start a run."""
        self._before_c = self._sensors.temperature_c()
        self._watch = Watch(self._sensors)
        self._meter = EnergyMeter(self._sensors)

    def each_second(self) -> None:
        """Read the energy counters, which wrap around, and the frequency."""
        self._meter.tick()
        self._watch.tick()

    def model_energy_j(self) -> float | None:
        """Return the energy since the start."""
        return self._meter.read_j()

    def end(self) -> tuple[Disturbance, tuple[float | None, float | None]]:
        """Return the disturbance and the temperatures."""
        return self._watch.read(), (self._before_c, self._sensors.temperature_c())
