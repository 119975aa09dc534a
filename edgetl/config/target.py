"""A target: one device profile, with the candidates it can run and the limits it sets."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from edgetl.config.board import Board, Feature
from edgetl.config.candidate import Variant
from edgetl.config.limits import Limits
from edgetl.config.recipe import Name
from edgetl.config.table import Table
from edgetl.runtime import engines
from edgetl.types import Precision


def _check_engine(key: str) -> str:
    name, _, provider = key.partition("@")
    formats = engines.formats()
    if name not in formats:
        close = difflib.get_close_matches(name, formats, n=1)
        meant = f"did you mean '{close[0]}{key.removeprefix(name)}'? " if close else ""
        raise ValueError(f"unknown format '{name}'; {meant}known: {', '.join(formats)}")
    if provider == engines.CPU:
        raise ValueError(f"without a provider the CPU is meant; write '{name}'")
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
"""A format, which its engine runs on the CPU, or ``format@provider``."""


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
    candidates: dict[EngineName, tuple[Precision, ...]] = Field(min_length=1)
    """Format (file name in `edgetl/exporters/`) to the precisions to try; `onnx@cuda` for those
    that another provider than the CPU runs."""
    limits: Limits = Limits()
    board: Board | None = None
    """What the machine is; null where that is nobody's business, as for `host`."""

    @model_validator(mode="after")
    def _consistent(self) -> Target:
        if self.board is None:
            return self
        problems = [*self._size_problems(self.board), *self._candidate_problems(self.board)]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def variants(self) -> Iterator[Variant]:
        """Yield every way in which a model is a candidate, in the order of the file."""
        for (name, provider), precisions in zip(
            self.format_providers(), self.candidates.values(), strict=True
        ):
            for precision in precisions:
                yield Variant(name, precision, provider)

    def pairs(self) -> tuple[tuple[str, Precision], ...]:
        """Return (format, precision) of every model file, once, in the order of the file."""
        return tuple(dict.fromkeys((each.format, each.precision) for each in self.variants()))

    def files(self) -> dict[str, tuple[Precision, ...]]:
        """Return the precisions of the model files of every format, in the order of the file."""
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
                        f"name the version of {' or '.join(packages)}, or take '{key}' out"
                    )
        # Its int8 kernels for Arm are written in dot products; on a Cortex-A53 or A72 OpenVINO
        # 2026.4 refuses the file when it is loaded.
        no_products = board.architecture == "aarch64" and Feature.DOTPROD not in board.features
        if no_products and Precision.INT8 in self.candidates.get("openvino", ()):
            yield (
                "candidates.openvino: int8 needs 'dotprod' on aarch64, which board.features lacks; "
                "take int8 out"
            )
