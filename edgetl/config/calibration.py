"""A calibration recipe: which photos set the activation ranges of int8 files, and how."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edgetl.config.recipe import Name
from edgetl.config.table import Table


class RangeTable(Table):
    """How an activation range follows from the values seen during calibration."""

    estimator: Literal["minmax", "percentile", "entropy", "mse"] = "minmax"
    """Which values the 8 bits must reach: all, all but the tails, or those that lose least."""
    percentile: float = Field(default=99.99, gt=90.0, lt=100.0)
    """Share of values inside the range, percent; only read by `percentile`."""


class Calibration(Table):
    """One calibration recipe."""

    name: Name
    """The file's name without `.yaml`."""
    split: Literal["train", "val"]
    """Where the photos come from; never the test split."""
    count: int = Field(ge=1, le=100_000)
    """How many photos; refused when the split has fewer."""
    choice: Literal["random", "balanced"]
    """Draw from all photos alike, or as evenly per class as the split allows."""
    seed: int = Field(default=0, ge=0)
    range: RangeTable = RangeTable()
