"""Confidence interval of a share: of a count out of a total."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgetl.types import Facts

Z_95 = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""


@dataclass(frozen=True, slots=True)
class Share:
    """`count` correct predictions out of `total`."""

    count: int
    total: int

    @property
    def value(self) -> float:
        """Fraction in [0, 1]."""
        return self.count / self.total

    def interval(self) -> tuple[float, float]:
        """Return the 95 % score interval (Wilson 1927); within [0, 1] and never empty.

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
        """Return value, interval and total for a manifest, rounded."""
        low, high = self.interval()
        return {
            "value": round(self.value, 6),
            "low": round(low, 6),
            "high": round(high, 6),
            "images": self.total,
        }
