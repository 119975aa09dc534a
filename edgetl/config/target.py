"""A target: one device profile, with the candidates it can run and the limits it sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import Field

from edgetl.config.recipe import Name
from edgetl.config.table import Table
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

    def pairs(self) -> Iterator[tuple[str, Precision]]:
        """Yield (format, precision) of every candidate, in the order of the file."""
        for name, precisions in self.candidates.items():
            for precision in precisions:
                yield name, precision
