"""Random numbers and rotations that are reproducible on every machine.

Only the raw stream of PCG64 is used, which numpy guarantees to be stable; the methods of
`Generator` may change between versions. Sines and cosines are rounded to 12 bits, because
mathematical libraries differ in the last bit.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

TURN = 1024
"""Steps of a full turn."""

_UNIT = 2.0**-53
_FINE = 4096


class Rng:
    """Random numbers of one image.

    Attributes:
        seed: Seed of the whole set.
        index: Index of the image in the set.
        purpose: Distinguishes several generators of one image; above zero, because a trailing
            zero would change nothing.
    """

    def __init__(self, seed: int, index: int, *purpose: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence([seed, index, *purpose]))

    def unit(self) -> float:
        """Return a number in [0, 1)."""
        return (int(self._bits.random_raw()) >> 11) * _UNIT

    def between(self, low: float, high: float) -> float:
        """Return a number in [`low`, `high`)."""
        return low + (high - low) * self.unit()

    def below(self, count: int) -> int:
        """Return an integer in [0, `count`)."""
        return int(self.unit() * count)

    def happens(self, probability: float) -> bool:
        """Return True with the given probability."""
        return self.unit() < probability

    def octets(self, count: int) -> NDArray[np.uint8]:
        """Return `count` random bytes, shape `(count,)`."""
        raw = self._bits.random_raw((count + 7) // 8)
        return raw.astype("<u8").view(np.uint8)[:count]


def turn(step: int) -> tuple[float, float]:
    """Return cosine and sine of the angle `step` / `TURN` of a full turn, rounded to 12 bits."""
    angle = 2.0 * math.pi * (step % TURN) / TURN
    return round(math.cos(angle) * _FINE) / _FINE, round(math.sin(angle) * _FINE) / _FINE
