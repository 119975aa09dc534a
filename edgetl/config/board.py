"""A board: what a target's profile states of the machine itself, and how the machine proves it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from edgetl.config.table import Table
from edgetl.runtime import engines

OLDEST_PYTHON = (3, 9)
"""What the runtime needs on a device."""

_VERSION = re.compile(r"[0-9]+(\.[0-9]+)+")


class Feature(StrEnum):
    """Instructions that decide how fast int8 is, or whether it runs at all."""

    DOTPROD = "dotprod"
    """Arm's products of four 8-bit numbers at once, from Armv8.2 on; Linux calls it asimddp."""
    I8MM = "i8mm"
    """Arm's products of 8-bit matrices, from Armv8.6 on."""
    AVX2 = "avx2"
    """256-bit vectors of integers."""
    VNNI = "vnni"
    """Intel's and AMD's products of four 8-bit numbers at once, in 256 or 512 bits."""


FEATURES: Mapping[str, tuple[Feature, ...]] = MappingProxyType(
    {"aarch64": (Feature.DOTPROD, Feature.I8MM), "x86_64": (Feature.AVX2, Feature.VNNI)}
)
"""Architecture, as ``uname -m`` calls it, to the features that its processors may have."""


def parse_version(text: str) -> tuple[int, ...]:
    """Return the numbers that `text` begins with, for comparison: ``2.36-9+rpt`` is (2, 36)."""
    found = re.match(r"[0-9]+(\.[0-9]+)*", text)
    return tuple(int(number) for number in found[0].split(".")) if found else ()


def _check_version(value: object) -> object:
    # Without quotes YAML reads 3.10 as the number 3.1.
    if not isinstance(value, str) or _VERSION.fullmatch(value) is None:
        raise ValueError(f"is {value!r}; must be numbers with dots between, in quotes: '3.10'")
    return value


Version = Annotated[str, BeforeValidator(_check_version)]


class System(Table):
    """An operating system that the board is used with, and the engines that have wheels for it."""

    os: str = Field(min_length=1)
    """What people call it: `bookworm`, `JetPack 6`."""
    python: Version
    """The Python that runs the models there."""
    glibc: Version
    """Its C library; a wheel that was built for a newer one does not load."""
    engines: dict[str, Version] = Field(min_length=1)
    """Package of an engine to the newest version with a wheel for this Python, glibc and
    architecture."""

    @field_validator("python")
    @classmethod
    def _new_enough(cls, python: str) -> str:
        if parse_version(python) < OLDEST_PYTHON:
            raise ValueError(
                f"is '{python}'; the runtime needs 3.9 or newer, so name the Python that is "
                "installed beside the system's"
            )
        return python

    @field_validator("engines")
    @classmethod
    def _known(cls, given: dict[str, str]) -> dict[str, str]:
        known: dict[str, None] = {}
        # Built-in engines come first: those of installed packages are imported for an unknown name.
        for kind in engines.formats():
            if known.keys() >= given.keys():
                return given
            for provider in engines.providers(kind):
                known |= dict.fromkeys(engines.packages(kind, provider))
        for name in given:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                meant = f"did you mean '{close[0]}'? " if close else ""
                raise ValueError(f"unknown engine '{name}'; {meant}known: {', '.join(known)}")
        return given


class Identity(Table):
    """How a machine proves that it is this board and no other; all that is given must hold."""

    device_tree_model: tuple[str, ...] = ()
    """Beginnings of `/proc/device-tree/model`, any of which will do."""
    tegra_release: str | None = None
    """Beginning of `/etc/nv_tegra_release` on a Jetson: `# R36`."""
    cpu_part: tuple[str, ...] = ()
    """`CPU part` of every core in `/proc/cpuinfo` on Arm: `0xd08`."""
    model_name: str | None = None
    """Beginning of `model name` in `/proc/cpuinfo` on x86: `Intel(R) N100`."""


class Board(Table):
    """The machine of a target."""

    soc: str = Field(min_length=1)
    """The chip."""
    processor: str = Field(min_length=1)
    """The kind of its cores: `Cortex-A72`."""
    cores: int = Field(ge=1, le=1024)
    """How many there are, at least."""
    architecture: Literal["aarch64", "x86_64"]
    """What `uname -m` says."""
    features: tuple[Feature, ...]
    """What every machine of this kind has of the instructions that matter for int8; may be
    empty."""
    memory_mib: int = Field(ge=64)
    """Memory of the smallest one that is meant, MiB."""
    systems: tuple[System, ...] = Field(min_length=1)
    """What runs on it; the first is the one that is recommended."""
    identity: Identity = Identity()
    """What is compared besides architecture, cores, features and memory; left out where those are
    all that the machine must have."""

    @model_validator(mode="after")
    def _consistent(self) -> Board:
        foreign = [name for name in self.features if name not in FEATURES[self.architecture]]
        if foreign:
            raise ValueError(
                f"features: '{foreign[0]}' is none of {self.architecture}, which may have "
                f"{' and '.join(FEATURES[self.architecture])}"
            )
        return self
