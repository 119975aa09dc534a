"""Measure how far the outputs of a file are from those of its source model."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_MOST_DB = 200.0
"""Maximum, also for equal outputs, whose ratio is infinite; its negative is used for outputs that
are not finite."""
_MOST_ERROR = 1e30


def snr_db(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    """Return the signal-to-noise ratio of `after` in dB, rounded; `before` is the signal."""
    expected = before.astype(np.float64)
    noise = float(((after - expected) ** 2).sum())
    if noise == 0.0:
        return _MOST_DB
    if not math.isfinite(noise):
        return -_MOST_DB
    signal = max(float((expected**2).sum()), 1e-30)
    return round(min(10 * math.log10(signal / noise), _MOST_DB), 1)


def max_error(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    """Return the largest absolute difference, rounded to three digits; 0 for empty arrays."""
    error = np.abs(after.astype(np.float64) - before).max(initial=0.0)
    return float(f"{error:.3g}") if error < _MOST_ERROR else _MOST_ERROR
