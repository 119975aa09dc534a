"""Compare two models that were timed in turns: which is faster, and by how much.

Both are compared within each round, as the ratio of their median times there, so that a slow minute
hits both. The ratio is the median over the rounds. The ends of its interval are two order
statistics, which assumes nothing about the distribution (H. A. David and H. N. Nagaraja, Order
Statistics, 3rd edition, section 7.1), and which a single disturbed round moves little.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

Name = TypeVar("Name")

LEVEL = 0.99
"""Of the interval. It is looked at after every round, so it must be stricter than 95 %."""
EQUAL = 0.03
"""Two models count as equally fast if the ratio is certain to be this close to 1."""


def least_rounds() -> int:
    """Return the number of rounds below which no interval has an end: 8."""
    return math.ceil(math.log2(2 / (1 - LEVEL)))


@dataclass(frozen=True)
class Rounds:
    """The turns of one model, in the order of the rounds, from the first one on."""

    p50: Sequence[float]
    """Median time of each turn, in any unit."""
    disturbed: Sequence[bool]
    """Whether other programs disturbed the turn."""

    @property
    def typical(self) -> float:
        """The median of the undisturbed turns, or of all if none is undisturbed."""
        quiet = [self.p50[i] for i in range(len(self.p50)) if not self.disturbed[i]]
        return statistics.median(quiet or self.p50)


@dataclass(frozen=True)
class Ratio:
    """The time of one model divided by that of another one, with its interval."""

    value: float
    low: float
    """0 if there were too few rounds."""
    high: float
    """Infinite if there were too few rounds."""
    disturbed: bool
    """Whether disturbed rounds were counted, because too few were not."""

    @property
    def significant(self) -> bool:
        """Whether one of the two is certainly faster."""
        return not self.low <= 1.0 <= self.high

    @property
    def decided(self) -> bool:
        """Whether more rounds are not needed: one is faster, or both are about equally fast."""
        return self.significant or (self.low >= 1 - EQUAL and self.high <= 1 + EQUAL)


def ratio(first: Rounds, second: Rounds) -> Ratio:
    """Return the time of `first` divided by that of `second`.

    Counts the rounds in which neither was disturbed, or all common ones if those are fewer than
    `least_rounds`.

    Raises:
        ValueError: If they have no round in common.
    """
    common = min(len(first.p50), len(second.p50))
    if not common:
        raise ValueError("two models that have no round in common cannot be compared")
    every = [first.p50[i] / second.p50[i] for i in range(common)]
    quiet = [every[i] for i in range(common) if not (first.disturbed[i] or second.disturbed[i])]
    enough = len(quiet) >= least_rounds()
    ratios = sorted(quiet if enough else every)
    value = statistics.median(ratios)
    skipped = _skipped(len(ratios))
    if skipped is None:
        return Ratio(value, 0.0, math.inf, disturbed=len(quiet) < common)
    low, high = ratios[skipped], ratios[-1 - skipped]
    return Ratio(value, low, high, disturbed=not enough)


def undecided(timed: Mapping[Name, Rounds]) -> set[Name]:
    """Return the models that need more rounds, because the order of two neighbours is not clear.

    In the order of their speed only neighbours are compared: that settles which of any selection
    of them, such as those that are accurate enough, is the fastest.
    """
    order = sorted(timed, key=lambda name: timed[name].typical)
    unclear = set()
    for i in range(1, len(order)):
        if not ratio(timed[order[i - 1]], timed[order[i]]).decided:
            unclear |= {order[i - 1], order[i]}
    return unclear


def _skipped(count: int) -> int | None:
    """Return how many of `count` sorted ratios lie outside either end of the interval.

    None if even all of them do not reach `LEVEL`. The median lies below the k-th smallest of n
    values with the probability that fewer than k of n fair coins show heads.
    """
    below, outside = 0.0, None
    for k in range(count // 2):
        below += math.comb(count, k) / 2**count
        if 2 * below > 1 - LEVEL:
            break
        outside = k
    return outside
