"""The board of a target: properties of the machine, and how to verify them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from edgetl.config.table import Table
from edgetl.errors import closest
from edgetl.runtime import engines
from edgetl.runtime.packages import parse_version

OLDEST_PYTHON = (3, 9)
"""Oldest Python that the runtime supports on a device."""

_VERSION = re.compile(r"[0-9]+(\.[0-9]+)+")


class Feature(StrEnum):
    """Instruction sets that determine the speed of int8, or whether it runs at all."""

    DOTPROD = "dotprod"
    """Arm's 8-bit dot products, from Armv8.2 on; asimddp in Linux."""
    I8MM = "i8mm"
    """Arm's 8-bit matrix multiplication, from Armv8.6 on."""
    AVX2 = "avx2"
    """256-bit integer vectors."""
    VNNI = "vnni"
    """8-bit dot products of Intel and AMD, 256 or 512 bits wide."""


FEATURES: Mapping[str, tuple[Feature, ...]] = MappingProxyType(
    {"aarch64": (Feature.DOTPROD, Feature.I8MM), "x86_64": (Feature.AVX2, Feature.VNNI)}
)
"""Architecture, as reported by ``uname -m``, to the features its processors may have."""


def _check_version(value: object) -> object:
    # Without quotes YAML reads 3.10 as the number 3.1.
    if not isinstance(value, str) or _VERSION.fullmatch(value) is None:
        raise ValueError(f"is {value!r}; must be a quoted version of dotted numbers: '3.10'")
    return value


Version = Annotated[str, BeforeValidator(_check_version)]


class System(Table):
    """An operating system of the board, and the engines with wheels for it."""

    os: str = Field(min_length=1)
    """Common name: `bookworm`, `JetPack 6`."""
    python: Version
    """Version of the Python that runs the models."""
    glibc: Version
    """Version of the C library; wheels built for a newer one do not load."""
    engines: dict[str, Version] = Field(min_length=1)
    """Package of an engine to the newest version with a wheel for this Python, glibc and
    architecture."""

    @field_validator("python")
    @classmethod
    def _new_enough(cls, python: str) -> str:
        if parse_version(python) < OLDEST_PYTHON:
            raise ValueError(
                f"is '{python}'; the runtime needs 3.9 or newer, so give the version of a Python "
                "installed next to the system's"
            )
        return python

    @field_validator("engines")
    @classmethod
    def _known(cls, versions: dict[str, str]) -> dict[str, str]:
        known: dict[str, None] = {}
        # Built-in engines come first: those of installed packages are imported for an unknown name.
        for kind in engines.formats():
            if known.keys() >= versions.keys():
                return versions
            for provider in engines.providers(kind):
                known |= dict.fromkeys(engines.packages(kind, provider))
        for name in versions:
            if name not in known:
                close = closest(name, known)
                meant = f"did you mean '{close}'? " if close else ""
                raise ValueError(f"unknown engine '{name}'; {meant}known: {', '.join(known)}")
        return versions


class Identity(Table):
    """How to recognise the board; every given property must match."""

    device_tree_model: tuple[str, ...] = ()
    """Prefixes of `/proc/device-tree/model`; one of them must match."""
    tegra_release: str | None = None
    """Prefix of `/etc/nv_tegra_release` on a Jetson: `# R36`."""
    cpu_part: tuple[str, ...] = ()
    """`CPU part` of every core in `/proc/cpuinfo` on Arm: `0xd08`."""
    model_name: str | None = None
    """Prefix of `model name` in `/proc/cpuinfo` on x86: `Intel(R) N100`."""


class Board(Table):
    """The machine of a target."""

    soc: str = Field(min_length=1)
    """The system on chip."""
    processor: str = Field(min_length=1)
    """Core type: `Cortex-A72`."""
    cores: int = Field(ge=1, le=1024)
    """Minimum number of cores."""
    architecture: Literal["aarch64", "x86_64"]
    """Output of `uname -m`."""
    features: tuple[Feature, ...]
    """Instruction sets for int8 that every machine of this kind has; may be empty."""
    memory_mib: int = Field(ge=64)
    """Memory of the smallest supported variant, MiB."""
    systems: tuple[System, ...] = Field(min_length=1)
    """Supported operating systems, the recommended one first."""
    identity: Identity = Identity()
    """Properties to compare in addition to architecture, cores, features and memory; omitted if
    those are sufficient."""

    @model_validator(mode="after")
    def _consistent(self) -> Board:
        foreign = [name for name in self.features if name not in FEATURES[self.architecture]]
        if foreign:
            raise ValueError(
                f"features: '{foreign[0]}' is not a feature of {self.architecture}; it may have "
                f"{' and '.join(FEATURES[self.architecture])}"
            )
        return self
