"""Time several models in turns, each in a process of its own.

In every round each model has one turn, so that a slow minute of the machine hits all of them alike.
The rounds end when the order of the models is clear (`edgetl.runtime.paired`); a model whose place
is clear, and which has enough undisturbed turns, takes no further ones.

The processes stay open between their turns, and wait. Where memory is short, each turn starts a new
process instead.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgetl.runtime import host
from edgetl.runtime.errors import EdgetlUsageError
from edgetl.runtime.latency import Latency, run_from_json
from edgetl.runtime.paired import Rounds, undecided
from edgetl.runtime.quantiles import MEDIAN, headline
from edgetl.runtime.sustained import Sustained
from edgetl.runtime.timing_plan import TimingPlan, TurnsPlan
from edgetl.runtime.turn_process import SUSTAIN, TURN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgetl.runtime.closed_loop import Run

_SPARE_BYTES = 128 << 20
"""Memory that stays free for everything else on the machine."""


class TurnError(Exception):
    """The process of a model has failed, and has said why on the standard error.

    Attributes:
        exit_code: Of the process.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


def time_in_turns(
    folders: Sequence[Path], *, threads: int, plan: TurnsPlan, sustained_minutes: float = 0.0
) -> tuple[Latency, ...]:
    """Time the model folders in turns, in separate processes.

    Args:
        folders: Model folders with golden samples.
        threads: Threads per inference; see `Predictor.open`.
        plan: Length of a turn, and number of rounds.
        sustained_minutes: Length of a sustained measurement of each model after the rounds; 0 for
            none.

    Returns:
        One measurement per folder; the k-th run of each was taken in round k.

    Raises:
        TurnError: If a process fails.
        EdgetlUsageError: If a process is killed.
    """
    models: list[_Timed] = []
    try:
        for folder in folders:
            models.append(_Timed(folder, threads, plan.turn))
            models[-1].open()
        for taken in range(plan.most_rounds):
            waiting = _waiting(models, plan)
            if not waiting:
                break
            # Nobody is always the one after the same other one.
            for k in range(len(waiting)):
                waiting[(k + taken) % len(waiting)].take_turn()
        if sustained_minutes > 0:
            for model in models:
                model.sustain(sustained_minutes)
        return tuple(model.latency for model in models)
    finally:
        for model in models:
            model.close()


def rounds_of(latency: Latency) -> Rounds:
    """Return the turns of a model that was timed in turns, the model alone, nanoseconds."""
    return _rounds(latency.runs)


def _rounds(runs: Sequence[Run]) -> Rounds:
    return Rounds(
        [headline([run.model_ns], MEDIAN) for run in runs],
        [run.disturbance.interfered for run in runs],
    )


def _waiting(models: Sequence[_Timed], plan: TurnsPlan) -> list[_Timed]:
    """Return the models that need another turn."""
    if any(len(model.runs) < plan.turn.runs for model in models):
        return list(models)
    unclear = undecided({i: _rounds(model.runs) for i, model in enumerate(models)})
    return [model for i, model in enumerate(models) if i in unclear or model.latency.interfered]


class _Timed:
    """A model and the turns that it has taken."""

    def __init__(self, folder: Path, threads: int, turn: TimingPlan) -> None:
        self._folder = folder
        self._arguments = ["--threads", str(threads), "--seconds", str(turn.seconds)]
        self._arguments += ["--count", str(turn.count), "--rounds", str(turn.runs)]
        self._process: _Process | None = None
        self._opened: Latency | None = None
        self._sustained: Sustained | None = None
        self.runs: list[Run] = []

    @property
    def latency(self) -> Latency:
        """The measurement so far.

        Raises:
            ValueError: If the model has not been opened.
        """
        if self._opened is None:
            raise ValueError(f"{self._folder} has not been opened")
        return replace(self._opened, runs=tuple(self.runs), sustained=self._sustained)

    def open(self) -> None:
        """Start the process, and end it again if memory is short."""
        self._process = _Process(self._folder, self._arguments)
        self._opened = Latency.from_json(self._process.reply())
        if _short_of_memory(self._opened.peak_memory_bytes):
            self.close()

    def take_turn(self) -> None:
        """Time the model once more."""
        self.runs.append(run_from_json(self._ask(TURN)))

    def sustain(self, minutes: float) -> None:
        """Run the model without a pause."""
        self._sustained = Sustained.from_json(self._ask(f"{SUSTAIN} {minutes}"))

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def _ask(self, request: str) -> dict[str, Any]:
        if self._process is not None:
            return self._process.ask(request)
        process = _Process(self._folder, self._arguments)
        try:
            process.reply()
            return process.ask(request)
        finally:
            process.close()


class _Process:
    """A process that replies to requests; see `edgetl.runtime.turn_process`."""

    def __init__(self, folder: Path, arguments: Sequence[str]) -> None:
        self._folder = folder
        command = [sys.executable, "-m", "edgetl.runtime", "turns", str(folder), *arguments]
        self._process = subprocess.Popen(  # noqa: S603 - this Python
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )

    def ask(self, request: str) -> dict[str, Any]:
        """Send the request and return the reply; see `reply`."""
        # A process that has ended is reported because its reply is missing.
        with suppress(BrokenPipeError):
            self._process.stdin.write(f"{request}\n")  # type: ignore[union-attr] # a pipe
            self._process.stdin.flush()  # type: ignore[union-attr]
        return self.reply()

    def reply(self) -> dict[str, Any]:
        """Return the next reply.

        Raises:
            TurnError: If the process fails.
            EdgetlUsageError: If it is killed.
        """
        line = self._process.stdout.readline()  # type: ignore[union-attr] # a pipe
        if line:
            reply: dict[str, Any] = json.loads(line)
            return reply
        code = self._process.wait()
        if code > 0:
            raise TurnError(code)
        raise EdgetlUsageError(
            f"the process that times {self._folder} was ended by signal {-code}",
            remedy="it may have run out of memory: stop other programs, or use a smaller model",
        )

    def close(self) -> None:
        """End the process and wait for it."""
        self._process.kill()
        self._process.communicate()


def _short_of_memory(peak_bytes: int | None) -> bool:
    """Return whether one more process with that peak would not fit; False if unknown."""
    available = host.available_memory_bytes()
    if available is None or peak_bytes is None:
        return False
    return available < peak_bytes + _SPARE_BYTES
