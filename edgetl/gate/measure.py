"""Run a bundle on a device: its own runtime replays golden samples, predicts and times there."""

from __future__ import annotations

import dataclasses
import itertools
import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgetl.boards.remote_runtime import TimingRequest, bench, replay_golden, start_s
from edgetl.devices import Connection, Device
from edgetl.errors import UsageError
from edgetl.evaluation import Predictions
from edgetl.facts.latency import Host, TimingFacts
from edgetl.gate.bundle import Bundle
from edgetl.runtime.contract import Contract
from edgetl.runtime.timing_plan import TimingPlan
from edgetl.tasks import TASKS
from edgetl.types import Provenance, Split

if TYPE_CHECKING:  # the command line must not wait for numpy
    from edgetl.data.dataset import Dataset
    from edgetl.runtime.golden import ReplayRow

_SLOWEST_S = 10.0
"""Of one inference; a detector on an emulated board takes some seconds."""
_COUNT = 50
"""Inferences of a run, at least."""
_RUNS = 5
MEASUREMENTS = 3
"""Times a red timing is taken in all, at most: a machine that is slow or disturbed for some seconds
does not mean a slower build. Each timing already repeats its disturbed runs
(`edgetl.runtime.timing_plan.ATTEMPTS_PER_RUN`)."""
_PREDICT = """\
import pathlib, sys
import numpy as np
from edgetl.runtime.predictor import Predictor
predictor = Predictor.open(pathlib.Path("."), int(sys.argv[1]))
for i in range(int(sys.argv[2])):
    outputs = predictor.run(dict(np.load(f"inputs-{i}.npz")))
    np.savez(f"outputs-{i}.npz", **outputs)
"""


@dataclass(frozen=True, slots=True)
class Times:
    """The latency that the runtime measured on the device."""

    summary: TimingFacts
    host: Host
    measurements: int = 1
    """How many were taken; these are the times of the last."""

    @property
    def disturbed(self) -> bool:
        """Whether too few runs were undisturbed, so the times can only be too long."""
        return self.summary.interfered

    def doubts(self) -> Iterator[str]:
        """Yield what a reader must know about the times, in words."""
        runs = self.summary.runs
        if runs.undisturbed < runs.asked:
            reasons = dict.fromkeys(itertools.chain.from_iterable(runs.disturbances))
            count = f"{runs.undisturbed} of {runs.taken} runs undisturbed"
            prefix = "the timing was disturbed, " if self.disturbed else ""
            yield f"{prefix}{count} ({next(iter(reasons), 'no reason reported')})"
        if not self.summary.stable:
            yield "the warm-up never settled"


@dataclass(frozen=True, slots=True)
class Measurements:
    """What was measured of a bundle on a device."""

    device: str
    provenance: str
    golden: tuple[ReplayRow, ...]
    error: str
    """Why the bundle could not replay its golden samples; empty if it could."""
    times: Times | None
    """None if times were not requested or not valid, or the bundle does not run."""
    predictions: Predictions | None
    """For the test images; None if they were not requested."""


def measure(
    bundle: Bundle, device: Device, *, threads: int, seconds: float | None, dataset: Dataset | None
) -> Measurements:
    """Run `bundle` on `device`.

    Args:
        bundle: Its files are intact.
        device: Times are taken only if it is a real one.
        threads: Of one inference.
        seconds: Time at least this long; None for no times.
        dataset: Its test images are predicted; None for none.

    Raises:
        DeviceError: If the device cannot be reached, or Python fails there.
        UsageError: If the bundle was made by another version of edgetl, which times differently.
    """
    contract = Contract.load(bundle.folder)
    ready_s = start_s(contract.provider)
    with device.connect() as connection:
        connection.put(bundle.sources())
        golden = replay_golden(connection, device.address, ".", threads=threads, timeout_s=ready_s)
        error = golden.error
        if not all(math.isfinite(row.worst) for row in golden.rows):
            error = "the model's outputs are not finite"
        times = predictions = None
        if not error and seconds is not None and device.provenance == Provenance.MEASURED:
            request = TimingRequest(
                threads, TimingPlan(seconds, _COUNT, _RUNS), _SLOWEST_S, contract.provider
            )
            times = _times(connection, device, request)
        if not error and dataset is not None:
            predictions = _predictions(connection, dataset, contract, threads)
    return Measurements(device.address, device.provenance, golden.rows, error, times, predictions)


def time_again(
    measurements: Measurements, bundle: Bundle, device: Device, *, threads: int, seconds: float
) -> Measurements:
    """Return `measurements` with new times; see `measure`."""
    before = measurements.times
    if before is None:
        raise ValueError("there are no times to take again")
    times = measure(bundle, device, threads=threads, seconds=seconds, dataset=None).times
    count = before.measurements + 1
    return dataclasses.replace(
        measurements, times=dataclasses.replace(times or before, measurements=count)
    )


def _times(connection: Connection, device: Device, request: TimingRequest) -> Times:
    from edgetl.runtime.latency import Latency

    data = bench(connection, device.address, ".", request)
    try:
        latency = Latency.from_json(data)
    except ValueError as error:
        raise UsageError(
            f"the bundle's runtime on device '{device.address}' times differently: {error}",
            remedy="make the bundle again with this edgetl: edgetl run RECIPE",
        ) from error
    return Times(TimingFacts(**latency.summary()), dict(latency.host))


def _predictions(
    connection: Connection, dataset: Dataset, contract: Contract, threads: int
) -> Predictions:
    import numpy as np

    evaluation = TASKS.load(dataset.task).evaluation
    nms = contract.nms
    count, chunk = len(dataset.items(Split.TEST)), evaluation.images_per_chunk
    starts = range(0, count, chunk)
    parts = []
    with tempfile.TemporaryDirectory(prefix="edgetl-check-") as name:
        folder = Path(name)
        for i, start in enumerate(starts):
            path = folder / f"inputs-{i}.npz"
            inputs = evaluation.inputs(dataset, Split.TEST, slice(start, start + chunk))
            np.savez(path, allow_pickle=False, **inputs)
            connection.put({path.name: path})
            path.unlink()
        command = ["-c", _PREDICT, str(threads), str(len(starts))]
        timeout_s = start_s(contract.provider) + _SLOWEST_S * count
        connection.run(command, timeout_s=timeout_s)
        for i, start in enumerate(starts):
            outputs = f"outputs-{i}.npz"
            connection.get([outputs], folder)
            with np.load(folder / outputs, allow_pickle=False) as arrays:
                part = {name: arrays[name] for name in arrays.files}
            (folder / outputs).unlink()
            parts.append(evaluation.collect(part, dataset, Split.TEST, start, nms))
    dataset.release()
    return evaluation.join(parts)
