"""Estimate latencies on devices that are not available, with an uncertainty band.

Estimates rank candidates and cause warnings. They never count as measurements that meet a limit.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimated latency of a model file: one inference, model only, single stream, batch 1."""

    ms: float
    """Expected median, milliseconds."""
    low_ms: float
    high_ms: float
    """Ends of the band that `basis` explains, milliseconds."""
    method: str
    """``cost profile`` or ``instructions``."""
    basis: str
    """Explanation of the figure and its band, for users."""
