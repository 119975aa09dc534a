"""What accuracies mean: intervals of a share and of a difference on the same images."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgetl.types import Facts

Z_95 = 1.959963984540054
"""Quantile of the normal distribution that leaves 2.5 % on each side."""

_BISECTIONS = 60


@dataclass(frozen=True, slots=True)
class Share:
    """How many of `total` were right."""

    count: int
    total: int

    @property
    def value(self) -> float:
        """Fraction in [0, 1]."""
        return self.count / self.total

    def interval(self) -> tuple[float, float]:
        """Return the 95 % score interval (Wilson 1927); it stays in [0, 1] and never is empty.

        Wilson, E. B. (1927), Probable inference, the law of succession, and statistical inference,
        JASA 22, 209-212.
        """
        spread = Z_95**2 / self.total
        centre = (self.value + spread / 2) / (1 + spread)
        half = (
            Z_95
            * math.sqrt(self.value * (1 - self.value) / self.total + spread / (4 * self.total))
            / (1 + spread)
        )
        return max(0.0, centre - half), min(1.0, centre + half)

    def facts(self) -> Facts:
        """Return value, interval and total for a manifest, rounded to what images can tell."""
        low, high = self.interval()
        return {
            "value": round(self.value, 6),
            "low": round(low, 6),
            "high": round(high, 6),
            "images": self.total,
        }


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Accuracy of one model minus that of another, on the same images.

    The interval covers the choice of test images. It does not cover what another seed of the
    training would have changed.
    """

    only_first: int
    """Images that only the first model got right."""
    only_second: int
    total: int

    @property
    def value(self) -> float:
        """Difference of the two fractions, in [-1, 1]."""
        return (self.only_first - self.only_second) / self.total

    def interval(self) -> tuple[float, float]:
        """Return the 95 % score interval for paired fractions (Tango 1998).

        The ends are the differences that a score test would just not reject. Tango, T. (1998),
        Equivalence test and confidence interval for the difference in proportions for the
        paired-sample design, Statistics in Medicine 17, 891-908.
        """

        def too_low(difference: float) -> bool:
            return self._score(difference) > Z_95

        def too_high(difference: float) -> bool:
            return self._score(difference) < -Z_95

        low = _boundary(too_low, -1.0, self.value)
        high = _boundary(too_high, 1.0, self.value)
        return low, high

    def _score(self, difference: float) -> float:
        # The variance takes the most likely probability `discordant` of "only the second is right"
        # among those that give this difference: the larger root of a quadratic equation.
        first, second, total = self.only_first, self.only_second, self.total
        a = 2.0 * total
        b = -first - second + (2 * total - first + second) * difference
        c = -second * difference * (1 - difference)
        discordant = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
        variance = total * (2 * discordant + difference * (1 - difference))
        surplus = first - second - total * difference
        if variance <= 0.0:
            return 0.0 if surplus == 0.0 else math.copysign(math.inf, surplus)
        return surplus / math.sqrt(variance)


def top1(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> Share:
    """Return how many rows of `logits` `(N, K)` are largest at their label `(N,)`."""
    return Share(int((logits.argmax(axis=1) == labels).sum()), len(labels))


def paired_difference(
    first: NDArray[np.float32], second: NDArray[np.float32], labels: NDArray[np.int64]
) -> PairedDifference:
    """Return how much more often `first` `(N, K)` is right than `second` `(N, K)`, same images."""
    first_right = first.argmax(axis=1) == labels
    second_right = second.argmax(axis=1) == labels
    return PairedDifference(
        only_first=int((first_right & ~second_right).sum()),
        only_second=int((second_right & ~first_right).sum()),
        total=len(labels),
    )


def _boundary(rejected: Callable[[float], bool], outside: float, inside: float) -> float:
    """Return where `rejected` changes between `outside` and `inside`, which is not rejected."""
    if not rejected(outside):
        return outside
    for _ in range(_BISECTIONS):
        middle = (outside + inside) / 2
        if rejected(middle):
            outside = middle
        else:
            inside = middle
    return inside
