"""Run Python on a device and read what it prints: golden samples replayed, models timed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgetl.devices import Connection
from edgetl.errors import DeviceError
from edgetl.runtime.engines import CPU
from edgetl.runtime.timing_plan import TimingPlan, TurnsPlan
from edgetl.types import Fact, Facts

if TYPE_CHECKING:  # planning must not wait for numpy
    from edgetl.runtime.golden import ReplayRow

_START_S = 120.0
_BUILD_S = 1200.0
"""TensorRT builds a program for the device's GPU whenever a file is opened, which takes minutes on
a small board."""
_OPEN_S = 20.0
"""Where memory is short, a process is started for each turn."""
_TIMEOUT_FACTOR = 2.0
_S_PER_MINUTE = 60.0

# An engine that is missing, does not fit the other packages, or runs the model elsewhere is an
# error of the device and ends the process; all other errors are the model's. A bundle brings its
# own runtime, which may be older than the error classes of this one.
_REPLAY = """\
import json, pathlib, sys
from edgetl.runtime.errors import EngineError, EdgetlRuntimeError
try:
    from edgetl.runtime.golden import replay
    rows = replay(pathlib.Path(sys.argv[1]), int(sys.argv[2])).rows
    print(json.dumps({"rows": [[r.name, r.what, r.worst, r.tolerance] for r in rows]}))
except EdgetlRuntimeError as error:
    if error.exit_code == EngineError.exit_code:
        sys.exit(str(error))
    print(json.dumps({"error": error.message}))
"""


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """Result of replaying the golden samples on a device."""

    rows: tuple[ReplayRow, ...]
    error: str
    """Why the model failed; empty if it ran."""


@dataclass(frozen=True, slots=True)
class TimingRequest:
    """How the runtime on a device times a model."""

    threads: int
    plan: TimingPlan
    slowest_s: float
    """Of one inference; a timing that takes longer hangs."""
    provider: str = CPU
    """Execution provider, from the model's contract."""
    sustained_minutes: float = 0.0
    """How long the model then runs without a pause."""

    @property
    def timeout_s(self) -> float:
        """Time after which a timing certainly hangs: all runs disturbed, slowest device.

        Each run times the model alone, and then end to end, from image to prediction.
        """
        plan = self.plan
        per_run_s = 2 * (_TIMEOUT_FACTOR * plan.seconds + plan.count * self.slowest_s)
        sustained_s = _TIMEOUT_FACTOR * self.sustained_minutes * _S_PER_MINUTE
        return start_s(self.provider) + plan.max_runs * per_run_s + sustained_s


@dataclass(frozen=True, slots=True)
class TurnsRequest:
    """How the runtime on a device times several models in turns."""

    threads: int
    plan: TurnsPlan
    slowest_s: float
    """Of one inference; a timing that takes longer hangs."""
    providers: tuple[str, ...]
    """Execution provider of each model."""
    sustained_minutes: float = 0.0
    """How long each model then runs without a pause."""

    @property
    def timeout_s(self) -> float:
        """Time after which a timing certainly hangs: all rounds, each turn in a new process."""
        turn = self.plan.turn
        turn_s = 2 * (_TIMEOUT_FACTOR * turn.seconds + turn.count * self.slowest_s)
        sustained_s = _TIMEOUT_FACTOR * self.sustained_minutes * _S_PER_MINUTE
        return sum(
            start_s(provider) + self.plan.most_rounds * (_OPEN_S + turn_s) + sustained_s
            for provider in self.providers
        )


def start_s(provider: str) -> float:
    """Return how long it may take until Python has started and `provider` has a model ready."""
    return _START_S if provider == CPU else _START_S + _BUILD_S


def run_json(
    connection: Connection, address: str, arguments: Sequence[str], *, what: str, timeout_s: float
) -> Facts:
    """Run Python on the device and return the JSON object that it prints.

    Args:
        connection: Connection to the device.
        address: Name of the device in messages.
        arguments: See `edgetl.devices.Connection.run`.
        what: Short description of the expected output, for messages.
        timeout_s: See `edgetl.devices.Connection.run`.

    Raises:
        DeviceError: If Python fails, or does not print one JSON object.
    """
    printed = connection.run(arguments, timeout_s=timeout_s)
    try:
        data: Fact = json.loads(printed)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise DeviceError(
            f"device '{address}' printed {printed[:80]!r} instead of {what}",
            remedy="run Python on the device: it must print nothing but the output of its program",
        )
    return data


def replay_golden(
    connection: Connection, address: str, folder: str, *, threads: int, timeout_s: float
) -> ReplayResult:
    """Replay the golden samples of `folder` with the runtime in the device's folder.

    Raises:
        DeviceError: If an engine is missing or would not run the model on the intended hardware,
            or Python fails.
    """
    from edgetl.runtime.golden import ReplayRow

    command = ["-c", _REPLAY, folder, str(threads)]
    data = run_json(connection, address, command, what="figures", timeout_s=timeout_s)
    rows = tuple(ReplayRow(*row) for row in data.get("rows", ()))
    return ReplayResult(rows, str(data.get("error", "")))


def bench(connection: Connection, address: str, folder: str, request: TimingRequest) -> Facts:
    """Time the model in `folder` with the runtime in the device's folder.

    Returns:
        What `edgetl.runtime.latency.Latency.from_json` reads.

    Raises:
        DeviceError: If Python or the model fails, or what is printed is no JSON object.
    """
    plan = request.plan
    command = ["-m", "edgetl.runtime", "bench", folder, "--json"]
    command += ["--threads", str(request.threads), "--seconds", str(plan.seconds)]
    command += ["--count", str(plan.count), "--runs", str(plan.runs)]
    if request.sustained_minutes:
        command += ["--sustained", str(request.sustained_minutes)]
    return run_json(connection, address, command, what="a latency", timeout_s=request.timeout_s)


def compare(
    connection: Connection, address: str, folders: Iterable[str], request: TurnsRequest
) -> list[Facts]:
    """Time the models in `folders` in turns with the runtime in the device's folder.

    Returns:
        For each model, what `edgetl.runtime.latency.Latency.from_json` reads.

    Raises:
        DeviceError: If Python or a model fails, or what is printed is not JSON.
    """
    plan = request.plan
    command = ["-m", "edgetl.runtime", "compare", *folders, "--json"]
    command += ["--threads", str(request.threads), "--seconds", str(plan.turn.seconds)]
    command += ["--count", str(plan.turn.count), "--rounds", str(plan.turn.runs)]
    command += ["--most-rounds", str(plan.most_rounds)]
    if request.sustained_minutes:
        command += ["--sustained", str(request.sustained_minutes)]
    data = run_json(connection, address, command, what="latencies", timeout_s=request.timeout_s)
    return list(data["latencies"])
