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
"""Where profiles are looked for by the name of their target, in the working directory."""


class NetworkRow(Table):
    """One network of the suite."""

    name: str
    ms: float = Field(gt=0.0)
    """Median of single inferences, model only, milliseconds."""
    fitted_ms: float
    """What the prices say."""
    left_out_ms: float
    """What prices say that this network took no part in."""
    disturbed: bool
    """Whether other programs disturbed it each time it was timed."""


class Fit(Table):
    """Prices of one format and precision."""

    format: str
    precision: Precision
    engine: str
    """Package and version that was timed."""
    lane: int = Field(ge=1)
    """Channels are computed in groups of so many."""
    ns: dict[str, float]
    """Price of each term of `edgetl.estimator.cost`, nanoseconds."""
    band: float = Field(ge=1.0)
    """Factor around an estimate; see `coverage`."""
    coverage: float = Field(gt=0.0, lt=1.0)
    """Share of networks that the band is made for."""
    largest: dict[str, int]
    """Kind of operation to the largest that was timed: multiplications or values."""
    networks: tuple[NetworkRow, ...]


class CostProfile(Table):
    """What operations cost on one device."""

    schema_version: Literal[1] = 1
    edgetl: str
    """Version that timed the suite."""
    device: str
    """Address that was timed."""
    host: dict[str, str | int | None]
    """Fingerprint of the machine."""
    threads: int = Field(ge=1)
    """Of one inference."""
    fits: tuple[Fit, ...] = Field(min_length=1)

    def fit(self, format_: str, precision: Precision) -> Fit | None:
        """Return the prices of a format and precision, None if there are none."""
        for each in self.fits:
            if (each.format, each.precision) == (format_, precision):
                return each
        return None

    def disturbed(self) -> Iterator[str]:
        """Yield format, precision and name of what was never timed undisturbed."""
        for each in self.fits:
            for row in each.networks:
                if row.disturbed:
                    yield f"{each.format} {each.precision} {row.name}"


def save_profile(profile: CostProfile, path: Path) -> None:
    """Write `profile` to `path` whole or not at all; equal profiles give equal bytes."""
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
        ConfigError: If there is no such file, or it is no cost profile of this schema.
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
        raise ConfigError(str(path), problems[:5], remedy=f"make it anew: {make}") from error
