"""Latencies of devices that are not at hand: predicted, with a band, and never a measurement.

An estimate ranks candidates and warns; it holds no limit.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one inference of a model file takes, model only, single stream, batch 1."""

    ms: float
    """The median expected, milliseconds."""
    low_ms: float
    high_ms: float
    """Ends of the band that `basis` explains, milliseconds."""
    method: str
    """``cost profile`` or ``instructions``."""
    basis: str
    """What the figure and its band rest on, in words for people."""
