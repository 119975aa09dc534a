"""A target: one device profile, with the candidates it can run and the limits it sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import Field, model_validator

from edgetl.config.board import Board, Feature, engine_packages
from edgetl.config.recipe import Name
from edgetl.config.table import Table
from edgetl.runtime import engines
from edgetl.types import Precision, Task

ACCURACIES: Mapping[Task, Mapping[str, str]] = {
    Task.CLASSIFICATION: {"top1": "top-1"},
    Task.DETECTION: {"map": "mAP", "map50": "mAP50"},
}
"""The limits of accuracy that a task knows, with what people call them; its metric first."""


class Limits(Table):
    """What a candidate must hold on a target; a limit that is null or false is not checked."""

    better_than_guessing: bool = True
    """Refuse a classifier that is right no more often than always naming the class most frequent in
    the test split, and a detector whose detections fit other photos as well. A detector that finds
    nothing at all is refused in any case."""
    top1: float | None = Field(default=None, ge=0.0, le=1.0)
    """Lowest top-1 accuracy of a classifier on the test split, fraction."""
    map: float | None = Field(default=None, ge=0.0, le=1.0)
    """Lowest mean average precision of a detector on the test split, fraction; COCO's mean over
    overlaps from .5 to .95."""
    map50: float | None = Field(default=None, ge=0.0, le=1.0)
    """The same at an overlap of .5 alone."""
    drop_pp: float | None = Field(default=1.0, ge=0.0)
    """Largest loss against the float model, percentage points of top-1 or mAP."""
    p95_ms: float | None = Field(default=None, gt=0.0)
    """Longest 95th percentile of single inferences, model only, milliseconds."""
    size_mib: float | None = Field(default=None, gt=0.0)
    """Largest model file, MiB."""
    memory_mib: float | None = Field(default=None, gt=0.0)
    """Largest peak resident memory of the process that answers, MiB."""


class Target(Table):
    """One device profile."""

    name: Name
    """The file's name without `.yaml`."""
    description: str
    """The board, its processor and system, in words."""
    device: str | None = Field(min_length=1)
    """How to reach it: `local`, `ssh://user@host`, `emulated:cortex-a72`; null where there is no
    way."""
    threads: int = Field(ge=1, le=256)
    """Threads that one inference may use."""
    candidates: dict[Name, tuple[Precision, ...]] = Field(min_length=1)
    """Format (file name in `edgetl/exporters/`) to the precisions to try."""
    limits: Limits = Limits()
    board: Board | None = None
    """What the machine is; null where that is nobody's business, as for `host`."""

    @model_validator(mode="after")
    def _fits_the_board(self) -> Target:
        if self.board is None:
            return self
        problems = [*self._thread_problems(self.board), *self._candidate_problems(self.board)]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def pairs(self) -> Iterator[tuple[str, Precision]]:
        """Yield (format, precision) of every candidate, in the order of the file."""
        for name, precisions in self.candidates.items():
            for precision in precisions:
                yield name, precision

    def _thread_problems(self, board: Board) -> Iterator[str]:
        if self.threads > board.cores:
            yield f"threads: is {self.threads}, but board.cores is {board.cores}"

    def _candidate_problems(self, board: Board) -> Iterator[str]:
        # A format that there is none of is told by whoever exports it.
        for name in [name for name in self.candidates if name in engines.formats()]:
            packages = engine_packages(name)
            for system in board.systems:
                if not set(packages) & set(system.engines):
                    yield (
                        f"candidates.{name}: board.systems '{system.os}' has no engine for it; "
                        f"name the version of {' or '.join(packages)}, or take '{name}' out"
                    )
        # Its int8 kernels for Arm are written in dot products; on a Cortex-A53 or A72 OpenVINO
        # 2026.4 refuses the file when it is loaded.
        no_products = board.architecture == "aarch64" and Feature.DOTPROD not in board.features
        if no_products and Precision.INT8 in self.candidates.get("openvino", ()):
            yield (
                "candidates.openvino: int8 needs 'dotprod' on aarch64, which board.features lacks; "
                "take int8 out"
            )
