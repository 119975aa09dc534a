"""Measure how far the outputs of a file are from those of its source model."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgetl.types import Precision

_MOST_DB = 200.0
"""Maximum, also for equal outputs, whose ratio is infinite; its negative is used for outputs that
are not finite."""
_MOST_ERROR = 1e30

LOWEST_SNR_DB: Mapping[Precision, float] = {
    Precision.FP32: 60.0,
    Precision.FP16: 30.0,
    Precision.W8A16: 15.0,
    Precision.INT8: 5.0,
}
"""Below this a step of the parity ladder is broken, by the precision that the step leads to.

For networks of convolutions; tasks with other networks have their own.

60 dB is an error of 1/1000 of the signal: far more than float32 rounding, far less than the error
of a wrong mean, channel order or layout. 30 dB is 1/30: half-precision weights alone give 34 dB in
a MobileNetV2, because of the rounding of one depthwise weight. 15 and 5 dB are a sixth and a half
of the signal, the most that 16 and 8 bits may lose: on the scores of a YOLOX-nano, w8a16 had 18 dB
and lost one point of mAP; an int8 file that lost 15 points had 2 dB.
"""


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
