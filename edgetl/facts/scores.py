"""Figures of accuracy: a metric with its interval, a difference of two, agreement of outputs."""

from __future__ import annotations

from pydantic import Field

from edgetl.facts import FactsModel


class Score(FactsModel):
    """The leading metric of a task over a split."""

    metric: str
    """Its name in limits: ``top1``."""
    title: str
    """What people call it: ``top-1``."""
    value: float
    low: float
    """Lower end of the 95 % interval."""
    high: float
    images: int
    """Images that it was measured on."""
    figures: dict[str, float | None] = Field(default_factory=dict)
    """What the task reports besides, by name; None where there was nothing to measure."""


class Difference(FactsModel):
    """How much better one model is than another on the same images, percentage points."""

    pp: float
    low_pp: float
    """Lower end of the 95 % interval, which covers the choice of images only."""
    high_pp: float
    figures: dict[str, float] = Field(default_factory=dict)
    """What the task counts besides, by name."""


class Agreement(FactsModel):
    """How far the outputs of one model are from those of another."""

    max_error: float
    """Largest absolute difference."""
    snr_db: float
    """Signal to noise, decibels."""
    agreement: float
    """Share of equal predictions."""
    figures: dict[str, float] = Field(default_factory=dict)
    """What the task reports besides, by name."""
