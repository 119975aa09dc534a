"""Quantiles of times, with intervals that allow for drift and for differences between runs.

The median is the median of the runs' medians, which a single outlying run cannot move. Higher
quantiles are taken over all runs together, because rare events need every sample.

A quantile is reported from `support` samples on: the largest of n times exceeds the quantile q with
probability ``1 - q**n``, which must reach 97.5 %; otherwise there is no upper end to report.

The interval is a two-level bootstrap: it resamples runs with replacement and, within each run,
blocks of successive times, a twentieth of a run each. So neither correlation within a block nor
differences between runs make it too narrow. In 95 of 100 measurements it contains the quantile of
the distribution that the times of these runs came from; under a steady drift, that of the whole
measurement. It cannot cover a rare state that lasts for whole runs and occurred in none of them.

Letters: R runs, K blocks of a run, T thresholds, B bootstrap samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MEDIAN = 0.5
QUANTILES = (MEDIAN, 0.9, 0.95, 0.99)
NS_PER_MS = 1e6

_OUTSIDE = 0.025
"""Probability on either side of an interval."""
_NUM_RESAMPLES = 1000
_BLOCKS = 20
_SEED = 0
_GROWTH = 1.1
_ROUNDING = 1e-3
"""Tolerance in samples, so that ``0.95 * 20`` is not more than 19."""


@dataclass(frozen=True)
class Interval:
    """A quantile of times with its 95 % bootstrap interval, milliseconds."""

    value: float
    low: float
    high: float


def support(q: float) -> int:
    """Return the minimum number of samples for the quantile `q`, which is at least 0.5.

    6 for the median, 36 for p90, 72 for p95, 368 for p99.
    """
    return math.ceil(math.log(_OUTSIDE) / math.log(q))


def nearest_rank(ordered: Sequence[int], q: float) -> int:
    """Return the nearest-rank `q` quantile of the sorted values `ordered`."""
    rank = max(1, math.ceil(q * len(ordered)))
    return ordered[rank - 1]


def headline(runs: Sequence[Sequence[int]], q: float) -> int:
    """Return the `q` quantile of `runs` as defined by the module; one of the measured times.

    Raises:
        ValueError: If a run is empty, or there is none.
    """
    if not runs or not all(runs):
        raise ValueError("a quantile needs at least one run and samples in every run")
    if q == MEDIAN:
        return nearest_rank(sorted(nearest_rank(sorted(run), q) for run in runs), q)
    return nearest_rank(sorted(time for run in runs for time in run), q)


def intervals(
    runs: Sequence[Sequence[int]], quantiles: Sequence[float] = QUANTILES
) -> dict[float, Interval | None]:
    """Return the `quantiles` of `runs`, which hold nanoseconds in order.

    Returns:
        Milliseconds; None where there are too few samples.
    """
    total = sum(len(run) for run in runs)
    supported = [q for q in quantiles if total >= support(q)]
    result: dict[float, Interval | None] = dict.fromkeys(quantiles)
    if supported:
        bounds = _bounds(runs, supported)
        for q in supported:
            value = headline(runs, q)
            low, high = bounds[q]
            ends = (value, min(low, value), max(high, value))
            result[q] = Interval(*(end / NS_PER_MS for end in ends))
    return result


def _bounds(
    runs: Sequence[Sequence[int]], quantiles: Sequence[float]
) -> dict[float, tuple[int, int]]:
    """Return the ends of the intervals, nanoseconds."""
    import numpy as np

    thresholds = _thresholds(runs, quantiles)
    counts = [_counts(np.asarray(run, np.int64), thresholds) for run in runs]
    rng = np.random.default_rng(_SEED)
    together = np.zeros((_NUM_RESAMPLES, len(thresholds)), np.float32)
    medians = np.empty((_NUM_RESAMPLES, len(runs)), np.intp)
    for index in range(len(runs)):
        resampled = _resample(counts, rng)
        together += resampled
        medians[:, index] = _reached(resampled, MEDIAN)
    medians.sort(axis=1)
    bounds = {}
    for q in quantiles:
        typical = medians[:, (len(runs) - 1) // 2]
        positions = typical if q == MEDIAN else _reached(together, q)
        ordered = np.sort(positions).tolist()
        low, high = (nearest_rank(ordered, share) for share in (_OUTSIDE, 1 - _OUTSIDE))
        # One step lower, because positions are rounded up to the next threshold.
        bounds[q] = int(thresholds[max(low - 1, 0)]), int(thresholds[high])
    return bounds


def _thresholds(runs: Sequence[Sequence[int]], quantiles: Sequence[float]) -> NDArray[np.int64]:
    """Return sorted times `(T,)`: every time near a quantile, ever fewer away from it.

    Counting the samples up to each is a hundred times less work than sorting each resample.
    """
    import numpy as np

    ordered = np.sort(np.concatenate([np.asarray(run, np.int64) for run in runs]))
    steps = math.ceil(math.log(max(len(ordered), 2), _GROWTH))
    away = np.floor(_GROWTH ** np.arange(steps + 1)).astype(np.int64)
    offsets = np.concatenate([-away[::-1], [0], away])
    ranks = [math.ceil(q * len(ordered)) - 1 + offsets for q in quantiles]
    chosen = np.clip(np.concatenate([*ranks, [len(ordered) - 1]]), 0, len(ordered) - 1)
    thresholds: NDArray[np.int64] = np.unique(ordered[chosen])
    return thresholds


def _counts(samples: NDArray[np.int64], thresholds: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the number of samples of each block at or below each threshold, `(K, T)`."""
    import numpy as np

    num_blocks = min(_BLOCKS, len(samples))
    block = np.arange(len(samples)) * num_blocks // len(samples)
    position = np.searchsorted(thresholds, samples)
    cells = np.bincount(
        block * len(thresholds) + position, minlength=num_blocks * len(thresholds)
    ).reshape(num_blocks, len(thresholds))
    return np.cumsum(cells, axis=1).astype(np.float32)


def _resample(
    counts: Sequence[NDArray[np.float32]], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw, for each bootstrap sample, a run and then its blocks; return the counts `(B, T)`."""
    import numpy as np

    chosen = rng.integers(len(counts), size=_NUM_RESAMPLES)
    resampled = np.empty((_NUM_RESAMPLES, counts[0].shape[1]), np.float32)
    for run, blocks in enumerate(counts):
        rows = np.flatnonzero(chosen == run)
        shares = np.full(len(blocks), 1 / len(blocks))
        weights = rng.multinomial(len(blocks), shares, size=len(rows))
        resampled[rows] = weights.astype(np.float32) @ blocks
    return resampled


def _reached(counts: NDArray[np.float32], q: float) -> NDArray[np.intp]:
    """Return the index `(B,)` of the threshold at which counts `(B, T)` reach the share `q`."""
    required = q * counts[:, -1:] - _ROUNDING
    reached: NDArray[np.intp] = (counts < required).sum(axis=1)
    return reached
