"""A calibration recipe: which images set the activation ranges of int8 files, and how."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from edgetl.config.recipe import Name
from edgetl.config.table import Table

LEAST_TO_COMPARE = 8
"""Images that a search needs: a quarter of them judges what the others made."""


class RangeTable(Table):
    """How an activation range follows from the values seen during calibration."""

    estimator: Literal["minmax", "percentile", "entropy", "mse", "best"] = "minmax"
    """Which values the 8 bits must reach: all, all but the tails, those that lose least, or `best`:
    what answers most like the float file on images held out of the calibration; the first
    whose answers hardly differ ends the search."""
    percentile: float = Field(default=99.99, gt=90.0, lt=100.0)
    """Share of values inside the range, percent; only read by `percentile`."""


class FloatTable(Table):
    """Which operations of an int8 file stay in float."""

    tail: bool = False
    """The last convolutions before the outputs, and all that follows them."""
    convolutions: int = Field(default=0, ge=0, le=32)
    """How many more: those that alone in int8 change the answers most, on held-out images; none
    where all of them together change next to nothing."""


class Int8Table(Table):
    """How an int8 file follows from images."""

    range: RangeTable = RangeTable()
    float_layers: FloatTable = FloatTable()

    @property
    def searches(self) -> bool:
        """Whether images are held out to compare files."""
        return self.range.estimator == "best" or self.float_layers.convolutions > 0


class Calibration(Table):
    """One calibration recipe."""

    name: Name
    """The file's name without `.yaml`."""
    split: Literal["train", "val"]
    """Where the images come from; never the test split."""
    count: int = Field(ge=1, le=100_000)
    """How many images; refused when the split has fewer."""
    sampling: Literal["random", "balanced"]
    """Draw from all images alike, or as evenly per class as the split allows."""
    seed: int = Field(default=0, ge=0)
    range: RangeTable = RangeTable()
    float_layers: FloatTable = FloatTable()

    @property
    def int8(self) -> Int8Table:
        """What int8 files depend on besides the images."""
        return Int8Table(range=self.range, float_layers=self.float_layers)

    @model_validator(mode="after")
    def _holds_enough_images_out(self) -> Self:
        if self.int8.searches and self.count < LEAST_TO_COMPARE:
            raise ValueError(
                f"count: {self.count} images are too few to hold some out, which `estimator: best` "
                f"and `float_layers: {{convolutions: ...}}` do; at least {LEAST_TO_COMPARE}"
            )
        return self
