"""Figures of accuracy: a metric with its interval, a paired difference, agreement of outputs."""

from __future__ import annotations

from pydantic import Field

from edgetl.facts import FactsModel


class Score(FactsModel):
    """The leading metric of a task over a split."""

    metric: str
    """Its name in limits: ``top1``."""
    title: str
    """Its display name: ``top-1``."""
    value: float
    low: float
    """Lower end of the 95 % interval."""
    high: float
    images: int
    """Images that it was measured on."""
    figures: dict[str, float | None] = Field(default_factory=dict)
    """Further figures of the task, by name; None if there was nothing to measure."""


class Difference(FactsModel):
    """Difference between two models on the same images, percentage points."""

    pp: float
    low_pp: float
    """Lower end of the 95 % interval, which covers only the sampling of images."""
    high_pp: float
    figures: dict[str, float] = Field(default_factory=dict)
    """Further counts of the task, by name."""


class Agreement(FactsModel):
    """How far the outputs of one model are from those of another."""

    max_error: float
    """Largest absolute difference."""
    snr_db: float
    """Signal-to-noise ratio, decibels."""
    agreement: float
    """Share of equal predictions."""
    figures: dict[str, float] = Field(default_factory=dict)
    """Further figures of the task, by name."""
