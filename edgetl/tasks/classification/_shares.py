"""Top-1 accuracy, and the confidence interval of a paired difference of accuracies."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgetl.evaluation.shares import Z_95, Share

_BISECTIONS = 60


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Accuracy of one model minus that of another, on the same images.

    The interval covers the sampling of test images, not the variation between training seeds.
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

        Its ends are the extreme differences that a score test does not reject. Tango, T. (1998),
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
        # The variance uses the maximum likelihood estimate `discordant` of the probability that
        # only the second is right, given this difference: the larger root of a quadratic equation.
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
    """Return the top-1 accuracy of `logits` `(N, K)` for labels `(N,)`."""
    return Share(int((logits.argmax(axis=1) == labels).sum()), len(labels))


def paired_difference(
    first: NDArray[np.float32], second: NDArray[np.float32], labels: NDArray[np.int64]
) -> PairedDifference:
    """Return the paired difference in top-1 accuracy of two sets of logits `(N, K)`."""
    first_right = first.argmax(axis=1) == labels
    second_right = second.argmax(axis=1) == labels
    return PairedDifference(
        only_first=int((first_right & ~second_right).sum()),
        only_second=int((second_right & ~first_right).sum()),
        total=len(labels),
    )


def _boundary(rejected: Callable[[float], bool], outside: float, inside: float) -> float:
    """Return where `rejected` changes between `outside` and `inside`; the latter is accepted."""
    if not rejected(outside):
        return outside
    for _ in range(_BISECTIONS):
        middle = (outside + inside) / 2
        if rejected(middle):
            outside = middle
        else:
            inside = middle
    return inside
