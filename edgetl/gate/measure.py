"""What a bundle does on a device: its own runtime replays, answers and times there."""

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
"""A timing that would be red is made anew, until there are so many of them: a machine that is slow
for some seconds, or disturbed, is not a slower build. Each has repeated its disturbed runs before
(`edgetl.runtime.timing_plan.ATTEMPTS_PER_RUN`)."""
_ANSWER = """\
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
    """What the runtime measured on the device."""

    summary: TimingFacts
    host: Host
    measurements: int = 1
    """How many were made; these are the times of the last."""

    @property
    def disturbed(self) -> bool:
        """Whether too few runs are the model's own, so the times can only be too long."""
        return self.summary.interfered

    def doubts(self) -> Iterator[str]:
        """Yield in words what a reader must know of the times."""
        runs = self.summary.runs
        if runs.undisturbed < runs.asked:
            reasons = dict.fromkeys(itertools.chain.from_iterable(runs.disturbances))
            said = f"{runs.undisturbed} of {runs.taken} runs undisturbed"
            verb = "the timing was disturbed, " if self.disturbed else ""
            yield f"{verb}{said} ({next(iter(reasons), 'no reason reported')})"
        if not self.summary.stable:
            yield "the warm-up never settled"


@dataclass(frozen=True, slots=True)
class Measurements:
    """What is known of a bundle on a device."""

    device: str
    provenance: str
    golden: tuple[ReplayRow, ...]
    error: str
    """Why the bundle could not replay its golden samples; empty if it could."""
    times: Times | None
    """None where times were not asked for or mean nothing, or the bundle does not run."""
    predictions: Predictions | None
    """To the test images; None if they were not asked for."""


def measure(
    bundle: Bundle, device: Device, *, threads: int, seconds: float | None, dataset: Dataset | None
) -> Measurements:
    """Run `bundle` on `device`.

    Args:
        bundle: Its files are intact.
        device: Only one that measures is asked for times.
        threads: Of one inference.
        seconds: Time at least this long; None for no times.
        dataset: Its test images are answered; None for none.

    Raises:
        DeviceError: If the device cannot be reached, or Python fails there.
        UsageError: If the bundle was made by another edgetl, whose times mean something else.
    """
    contract = Contract.load(bundle.folder)
    ready_s = start_s(contract.provider)
    with device.connect() as connection:
        connection.put(bundle.sources())
        found = replay_golden(connection, device.address, ".", threads=threads, timeout_s=ready_s)
        error = found.error
        if not all(math.isfinite(row.worst) for row in found.rows):
            error = "the model answers with values that are no numbers"
        times = predictions = None
        if not error and seconds is not None and device.provenance == Provenance.MEASURED:
            request = TimingRequest(
                threads, TimingPlan(seconds, _COUNT, _RUNS), _SLOWEST_S, contract.provider
            )
            times = _times(connection, device, request)
        if not error and dataset is not None:
            predictions = _predictions(connection, dataset, contract, threads)
    return Measurements(device.address, device.provenance, found.rows, error, times, predictions)


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
            f"the bundle's runtime on device '{device.address}' times in another way: {error}",
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
        command = ["-c", _ANSWER, str(threads), str(len(starts))]
        timeout_s = start_s(contract.provider) + _SLOWEST_S * count
        connection.run(command, timeout_s=timeout_s)
        for i, start in enumerate(starts):
            outputs = f"outputs-{i}.npz"
            connection.get([outputs], folder)
            with np.load(folder / outputs, allow_pickle=False) as found:
                part = {name: found[name] for name in found.files}
            (folder / outputs).unlink()
            parts.append(evaluation.collect(part, dataset, Split.TEST, start, nms))
    dataset.release()
    return evaluation.join(parts)
