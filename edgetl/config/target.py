"""Targets: device profiles with candidates and limits."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from edgetl.config.board import Board, Feature
from edgetl.config.recipe import Name
from edgetl.config.table import Table
from edgetl.plugins import ENGINES
from edgetl.runtime import engines
from edgetl.types import Precision, Task

ACCURACIES: Mapping[Task, Mapping[str, str]] = {
    Task.CLASSIFICATION: {"top1": "top-1"},
    Task.DETECTION: {"map": "mAP", "map50": "mAP50"},
}
"""Accuracy limits of each task with their display names; the task's metric first."""


class Limits(Table):
    """Limits for a candidate on a target; null or false disables a limit."""

    better_than_guessing: bool = True
    """Reject a classifier that is no better than always predicting the most frequent class of the
    test split, and a detector whose detections fit other images equally well. A detector without
    any detection is always rejected."""
    top1: float | None = Field(default=None, ge=0.0, le=1.0)
    """Lowest top-1 accuracy of a classifier on the test split, fraction."""
    map: float | None = Field(default=None, ge=0.0, le=1.0)
    """Lowest mean average precision of a detector on the test split, fraction; COCO's mean over
    IoU thresholds from .5 to .95."""
    map50: float | None = Field(default=None, ge=0.0, le=1.0)
    """Lowest mean average precision at an IoU threshold of .5, fraction."""
    drop_pp: float | None = Field(default=1.0, ge=0.0)
    """Largest drop against the float model, percentage points of top-1 or mAP."""
    p95_ms: float | None = Field(default=None, gt=0.0)
    """Largest 95th percentile of the latency of the model alone, milliseconds."""
    size_mib: float | None = Field(default=None, gt=0.0)
    """Largest model file, MiB."""
    memory_mib: float | None = Field(default=None, gt=0.0)
    """Largest peak resident memory of the inference process, MiB."""


def _check_engine(key: str) -> str:
    name, _, provider = key.partition("@")
    formats = ENGINES.names()
    if name not in formats:
        close = difflib.get_close_matches(name, formats, n=1)
        hint = f"did you mean '{close[0]}{key.removeprefix(name)}'? " if close else ""
        raise ValueError(f"unknown format '{name}'; {hint}known: {', '.join(formats)}")
    ENGINES.load(name)
    if provider == engines.CPU:
        raise ValueError(f"the CPU is the default provider; write '{name}'")
    known = engines.providers(name)
    if provider and provider not in known:
        others = ", ".join(f"'{name}@{each}'" for each in known if each != engines.CPU)
        allowed = f"write '{name}' for the CPU" + (f", or {others}" if others else "")
        raise ValueError(f"{name} has no provider '{provider}'; {allowed}")
    return key


EngineName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(@[a-z0-9]+)?$"),
    AfterValidator(_check_engine),
]
"""A format, which runs on the CPU, or ``format@provider``."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model file and its execution provider."""

    format: str
    precision: Precision
    provider: str
    """One of `edgetl.runtime.engines.providers`."""

    @property
    def file(self) -> tuple[str, Precision]:
        """Format and precision: candidates that differ in their provider share the model file."""
        return self.format, self.precision

    @property
    def name(self) -> str:
        """Display name: ``onnx int8``, ``onnx fp16 cuda``."""
        parts = (self.format, self.precision.value)
        return " ".join(parts if self.provider == engines.CPU else (*parts, self.provider))


class Target(Table):
    """One device profile."""

    name: Name
    """File name without `.yaml`."""
    description: str
    """Short text: the board, its processor and system."""
    device: str | None = Field(min_length=1)
    """Address: `local`, `ssh://user@host`, `emulated:cortex-a72`; null if it cannot be reached."""
    threads: int = Field(ge=1, le=256)
    """Threads per inference."""
    candidates: dict[EngineName, tuple[Precision, ...]] = Field(min_length=1)
    """Format (file name in `edgetl/exporters/`) to the precisions to try; `onnx@cuda` for another
    provider than the CPU."""
    limits: Limits = Limits()
    board: Board | None = None
    """Properties of the machine; null if they do not matter, as for `host`."""

    @model_validator(mode="after")
    def _consistent(self) -> Target:
        if self.board is None:
            return self
        problems = [*self._size_problems(self.board), *self._candidate_problems(self.board)]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def each_candidate(self) -> Iterator[Candidate]:
        """Yield all candidates in the order of the file."""
        for (name, provider), precisions in zip(
            self.format_providers(), self.candidates.values(), strict=True
        ):
            for precision in precisions:
                yield Candidate(name, precision, provider)

    def pairs(self) -> tuple[tuple[str, Precision], ...]:
        """Return (format, precision) of each distinct model file in the order of the file."""
        return tuple(dict.fromkeys(candidate.file for candidate in self.each_candidate()))

    def files(self) -> dict[str, tuple[Precision, ...]]:
        """Return the precisions of the model files, by format, in the order of the file."""
        formats = dict.fromkeys(name for name, _ in self.pairs())
        return {each: tuple(p for name, p in self.pairs() if name == each) for each in formats}

    def format_providers(self) -> Iterator[tuple[str, str]]:
        """Yield format and provider of each key of `candidates`."""
        for key in self.candidates:
            name, _, provider = key.partition("@")
            yield name, provider or engines.CPU

    def _size_problems(self, board: Board) -> Iterator[str]:
        if self.threads > board.cores:
            yield f"threads: is {self.threads}, but board.cores is {board.cores}"
        memory_mib = self.limits.memory_mib
        if memory_mib is not None and memory_mib > board.memory_mib:
            yield (
                f"limits.memory_mib: is {memory_mib:g}, but board.memory_mib is {board.memory_mib}"
            )

    def _candidate_problems(self, board: Board) -> Iterator[str]:
        for key, (name, provider) in zip(self.candidates, self.format_providers(), strict=True):
            packages = engines.packages(name, provider)
            for system in board.systems:
                if not set(packages) & set(system.engines):
                    yield (
                        f"candidates.{key}: board.systems '{system.os}' has no engine for it; "
                        f"add the version of {' or '.join(packages)}, or remove '{key}'"
                    )
        # OpenVINO's int8 kernels for Arm use dot products; on a Cortex-A53 or A72, OpenVINO 2026.4
        # fails to load the file.
        no_products = board.architecture == "aarch64" and Feature.DOTPROD not in board.features
        if no_products and Precision.INT8 in self.candidates.get("openvino", ()):
            yield (
                "candidates.openvino: int8 needs 'dotprod' on aarch64, which board.features lacks; "
                "remove int8"
            )
