"""Quantiles of times, each with an interval that allows for drift and for runs that differ.

The median is that of a typical run: the median of the runs' medians, which one odd run cannot move.
The quantiles above it are those of all runs together, because what is rare needs every sample.

A quantile is given from `support` samples on: the largest of n times lies above the quantile q with
probability ``1 - q**n``, which must be 97.5 % or there is no upper end to state.

The interval is a bootstrap on two levels: runs are drawn with replacement, and in each of them
blocks of successive times, a twentieth of a run each. So neither times that depend on their
neighbours within a block nor runs that differ make it too narrow. What it is claimed to hold, in
95 of 100 measurements, is the quantile of the law that the times of these runs came from; under a
steady drift, that of the whole measurement. A rare state that lasts for whole runs, and that no run
happened to meet, is beyond any interval.

Letters: R runs, K blocks of a run, T thresholds, B drawings.
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
"""On either side of an interval."""
_DRAWINGS = 1000
_BLOCKS = 20
_SEED = 0
_GROWTH = 1.1
_ROUNDING = 1e-3
"""In units of one sample: keeps ``0.95 * 20`` from being more than 19."""


@dataclass(frozen=True)
class Interval:
    """A quantile of times with its 95 % bootstrap interval, milliseconds."""

    value: float
    low: float
    high: float


def support(q: float) -> int:
    """Return from how many samples on the quantile `q`, at least 0.5, is given.

    6 for the median, 36 for p90, 72 for p95, 368 for p99.
    """
    return math.ceil(math.log(_OUTSIDE) / math.log(q))


def nearest_rank(ordered: Sequence[int], q: float) -> int:
    """Return the smallest of `ordered`, sorted, that at least the share `q` does not exceed."""
    rank = max(1, math.ceil(q * len(ordered)))
    return ordered[rank - 1]


def headline(runs: Sequence[Sequence[int]], q: float) -> int:
    """Return the `q` quantile of `runs` as the module defines it: a time that was measured.

    Raises:
        ValueError: If a run is empty, or there is none.
    """
    if not runs or not all(runs):
        raise ValueError("a quantile needs at least one run, and samples in each")
    if q == MEDIAN:
        return nearest_rank(sorted(nearest_rank(sorted(run), q) for run in runs), q)
    return nearest_rank(sorted(time for run in runs for time in run), q)


def intervals(
    runs: Sequence[Sequence[int]], quantiles: Sequence[float] = QUANTILES
) -> dict[float, Interval | None]:
    """Return the `quantiles` of `runs`, nanoseconds in the order they were taken.

    Returns:
        Milliseconds; None where there are too few samples.
    """
    total = sum(len(run) for run in runs)
    given = [q for q in quantiles if total >= support(q)]
    found: dict[float, Interval | None] = dict.fromkeys(quantiles)
    if given:
        bounds = _bounds(runs, given)
        for q in given:
            value = headline(runs, q)
            low, high = bounds[q]
            ends = (value, min(low, value), max(high, value))
            found[q] = Interval(*(end / NS_PER_MS for end in ends))
    return found


def _bounds(
    runs: Sequence[Sequence[int]], quantiles: Sequence[float]
) -> dict[float, tuple[int, int]]:
    """Return the ends of the intervals, nanoseconds."""
    import numpy as np

    thresholds = _thresholds(runs, quantiles)
    counts = [_counts(np.asarray(run, np.int64), thresholds) for run in runs]
    rng = np.random.default_rng(_SEED)
    together = np.zeros((_DRAWINGS, len(thresholds)), np.float32)
    medians = np.empty((_DRAWINGS, len(runs)), np.intp)
    for place in range(len(runs)):
        drawn = _draw(counts, rng)
        together += drawn
        medians[:, place] = _reached(drawn, MEDIAN)
    medians.sort(axis=1)
    bounds = {}
    for q in quantiles:
        typical = medians[:, (len(runs) - 1) // 2]
        positions = typical if q == MEDIAN else _reached(together, q)
        ordered = np.sort(positions).tolist()
        low, high = (nearest_rank(ordered, share) for share in (_OUTSIDE, 1 - _OUTSIDE))
        # One step further down, because a position is rounded up to the next threshold.
        bounds[q] = int(thresholds[max(low - 1, 0)]), int(thresholds[high])
    return bounds


def _thresholds(runs: Sequence[Sequence[int]], quantiles: Sequence[float]) -> NDArray[np.int64]:
    """Return times `(T,)`, sorted: all close to a quantile, fewer and fewer away from it.

    Counting the samples up to each is a hundred times less work than sorting drawn samples.
    """
    import numpy as np

    ordered = np.sort(np.concatenate([np.asarray(run, np.int64) for run in runs]))
    steps = math.ceil(math.log(max(len(ordered), 2), _GROWTH))
    away = np.floor(_GROWTH ** np.arange(steps + 1)).astype(np.int64)
    offsets = np.concatenate([-away[::-1], [0], away])
    ranks = [math.ceil(q * len(ordered)) - 1 + offsets for q in quantiles]
    chosen = np.clip(np.concatenate([*ranks, [len(ordered) - 1]]), 0, len(ordered) - 1)
    found: NDArray[np.int64] = np.unique(ordered[chosen])
    return found


def _counts(samples: NDArray[np.int64], thresholds: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return how many samples of each block are up to each threshold, `(K, T)`."""
    import numpy as np

    num_blocks = min(_BLOCKS, len(samples))
    block = np.arange(len(samples)) * num_blocks // len(samples)
    position = np.searchsorted(thresholds, samples)
    cells = np.bincount(
        block * len(thresholds) + position, minlength=num_blocks * len(thresholds)
    ).reshape(num_blocks, len(thresholds))
    return np.cumsum(cells, axis=1).astype(np.float32)


def _draw(counts: Sequence[NDArray[np.float32]], rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw a run, and then its blocks, for each drawing; return its counts `(B, T)`."""
    import numpy as np

    chosen = rng.integers(len(counts), size=_DRAWINGS)
    drawn = np.empty((_DRAWINGS, counts[0].shape[1]), np.float32)
    for run, blocks in enumerate(counts):
        rows = np.flatnonzero(chosen == run)
        shares = np.full(len(blocks), 1 / len(blocks))
        weights = rng.multinomial(len(blocks), shares, size=len(rows))
        drawn[rows] = weights.astype(np.float32) @ blocks
    return drawn


def _reached(counts: NDArray[np.float32], q: float) -> NDArray[np.intp]:
    """Return at which threshold the share `q` is reached, `(B,)`, of counts `(B, T)`."""
    wanted = q * counts[:, -1:] - _ROUNDING
    reached: NDArray[np.intp] = (counts < wanted).sum(axis=1)
    return reached
