"""Targets: device profiles with candidates and limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from edgetl.config.board import Board, Feature
from edgetl.config.candidate import Variant
from edgetl.config.limits import Judge, Limits
from edgetl.config.recipe import Name
from edgetl.config.table import Table
from edgetl.errors import closest
from edgetl.plugins import ENGINES
from edgetl.runtime import engines
from edgetl.types import Precision


def _check_engine(key: str) -> str:
    name, _, provider = key.partition("@")
    formats = ENGINES.names()
    if name not in formats:
        close = closest(name, formats)
        hint = f"did you mean '{close}{key.removeprefix(name)}'? " if close else ""
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
    judge: Judge = Judge.POINT
    """`point`: a figure meets its limit if its value does, and it is marked where its 95 % interval
    does not. `shown`: the worse end of its interval has to meet the limit."""
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

    def variants(self) -> Iterator[Variant]:
        """Yield every way to run a model, in the order of the file."""
        for (name, provider), precisions in zip(
            self.format_providers(), self.candidates.values(), strict=True
        ):
            for precision in precisions:
                yield Variant(name, precision, provider)

    def pairs(self) -> tuple[tuple[str, Precision], ...]:
        """Return (format, precision) of each distinct model file in the order of the file."""
        return tuple(dict.fromkeys((each.format, each.precision) for each in self.variants()))

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
