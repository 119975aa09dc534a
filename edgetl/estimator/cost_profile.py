"""A cost profile: the prices of one device, as a JSON file."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from edgetl.config.table import Table
from edgetl.errors import ConfigError, Problem
from edgetl.types import Precision

FOLDER = Path("profiles")
"""Folder in the working directory in which profiles are named after their targets."""


class NetworkRow(Table):
    """One network of the suite."""

    name: str
    ms: float = Field(gt=0.0)
    """Median of single inferences, model only, milliseconds."""
    fitted_ms: float
    """Time predicted by the prices."""
    held_out_ms: float
    """Time predicted by prices that were fitted without this network."""
    disturbed: bool
    """Whether other programs disturbed every one of its timings."""


class Fit(Table):
    """Prices of one format and precision."""

    format: str
    precision: Precision
    engine: str
    """Package and version of the timed engine."""
    lane: int = Field(ge=1)
    """Size of the groups in which channels are computed."""
    ns: dict[str, float]
    """Price of each term of `edgetl.estimator.cost`, nanoseconds."""
    band: float = Field(ge=1.0)
    """Factor around an estimate; see `coverage`."""
    coverage: float = Field(gt=0.0, lt=1.0)
    """Share of networks that the band is meant to contain."""
    largest: dict[str, int]
    """Size of the largest timed operation of each kind: multiplications or values."""
    networks: tuple[NetworkRow, ...]


class CostProfile(Table):
    """Prices of operations on one device."""

    schema_version: Literal[2] = 2
    edgetl: str
    """Version of edgetl that timed the suite."""
    device: str
    """Address of the timed device."""
    host: dict[str, str | int | None]
    """Fingerprint of the machine."""
    threads: int = Field(ge=1)
    """Number of threads of one inference."""
    fits: tuple[Fit, ...] = Field(min_length=1)

    def fit(self, format_: str, precision: Precision) -> Fit | None:
        """Return the prices of a format and precision, or None."""
        for each in self.fits:
            if (each.format, each.precision) == (format_, precision):
                return each
        return None

    def disturbed(self) -> Iterator[str]:
        """Yield format, precision and name of networks that were disturbed in every timing."""
        for each in self.fits:
            for row in each.networks:
                if row.disturbed:
                    yield f"{each.format} {each.precision} {row.name}"


def save_profile(profile: CostProfile, path: Path) -> None:
    """Write `profile` to `path` atomically; equal profiles have equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(profile.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        whole = Path(folder) / path.name
        with whole.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        whole.replace(path)


def load_profile(path: Path) -> CostProfile:
    """Return the profile in `path`.

    Raises:
        ConfigError: If the file does not exist or is not a cost profile of this schema.
    """
    name = path.stem if path.parent == FOLDER else "NAME"
    make = f"edgetl profile --target {name} --out {path}"
    try:
        return CostProfile.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise ConfigError(str(path), [Problem("", "no such file")], remedy=make) from error
    except ValidationError as error:
        problems = [
            Problem(".".join(map(str, each["loc"])), each["msg"]) for each in error.errors()
        ]
        raise ConfigError(str(path), problems[:5], remedy=f"make it again: {make}") from error
