"""Calibration recipes: the images and the method that set the activation ranges of int8 files."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from edgetl.config.recipe import Name
from edgetl.config.table import Table

LEAST_TO_COMPARE = 8
"""Minimum number of images for a search, which holds out a quarter of them."""


class RangeTable(Table):
    """How to derive activation ranges from the values observed during calibration."""

    estimator: Literal["minmax", "percentile", "entropy", "mse", "best"] = "minmax"
    """How to choose the range: all values (`minmax`), all but the tails (`percentile`), least loss
    of information (`entropy`) or squared error (`mse`), or `best`: the one whose predictions are
    closest to the float file's on held-out calibration images. The search stops early at an
    estimator without a noticeable difference."""
    percentile: float = Field(default=99.99, gt=90.0, lt=100.0)
    """Share of values inside the range, percent; only used by `percentile`."""


class FloatTable(Table):
    """Which operations of an int8 file stay in float."""

    tail: bool = False
    """Keep the last convolutions before the outputs and everything after them in float."""
    convolutions: int = Field(default=0, ge=0, le=32)
    """Number of further convolutions in float: those that change the predictions most when they
    alone are quantized, on held-out images; none if quantizing all of them makes no noticeable
    difference."""


class Int8Table(Table):
    """Settings for the quantization of int8 files."""

    range: RangeTable = RangeTable()
    float_layers: FloatTable = FloatTable()

    @property
    def searches(self) -> bool:
        """Whether the settings need held-out images to compare files."""
        return self.range.estimator == "best" or self.float_layers.convolutions > 0


class Calibration(Table):
    """One calibration recipe."""

    name: Name
    """File name without `.yaml`."""
    split: Literal["train", "val"]
    """Split that provides the images; never the test split."""
    count: int = Field(ge=1, le=100_000)
    """Number of images; an error if the split has fewer, unless `allow_fewer` is set."""
    allow_fewer: bool = False
    """Use all images of a split that has fewer than `count`; not for settings that hold some
    out."""
    sampling: Literal["random", "balanced"]
    """Sample uniformly from all images, or as evenly per class as the split allows."""
    seed: int = Field(default=0, ge=0)
    """Seed of the sampling."""
    range: RangeTable = RangeTable()
    float_layers: FloatTable = FloatTable()

    @property
    def int8(self) -> Int8Table:
        """The settings for int8 files."""
        return Int8Table(range=self.range, float_layers=self.float_layers)

    @model_validator(mode="after")
    def _has_enough_images_to_hold_out(self) -> Self:
        if self.int8.searches and self.allow_fewer:
            raise ValueError(
                "allow_fewer: goes neither with `estimator: best` nor with "
                "`float_layers: {convolutions: ...}`, which hold images out; remove it, and give a "
                "count that the split has"
            )
        if self.int8.searches and self.count < LEAST_TO_COMPARE:
            raise ValueError(
                f"count: {self.count} images are too few for `estimator: best` and "
                "`float_layers: {convolutions: ...}`, which hold some out; "
                f"at least {LEAST_TO_COMPARE}"
            )
        return self
