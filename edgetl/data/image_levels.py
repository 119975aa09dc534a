"""Find 16-bit images that use so few of their levels that decoding leaves them almost black."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from edgetl.config.recipe import Accept
from edgetl.data.findings import Finding

_BITS = 16
_USUAL_BITS = 15
"""Bits that the brightest of several images needs at least; sensors of 10 to 14 bits need less."""


def find_unused_bits(levels: Mapping[str, int], accept: Collection[Accept]) -> list[Finding]:
    """Return the finding that no image reaches a quarter of the range; none if one does.

    Images with 16 bits are decoded to their high byte, here and on the device.

    Args:
        levels: Highest grey level of each 16-bit image, by name.
        accept: What the recipe accepts.
    """
    bits = max(levels.values(), default=1 << _BITS).bit_length()
    if bits >= _USUAL_BITS or Accept.UNUSED_BITS in accept:
        return []
    examples = tuple(f"{name}: at most {level:,}" for name, level in sorted(levels.items()))
    factor = 1 << (_BITS - bits)
    return [
        Finding(
            f"16-bit image of a set that uses only {bits} bits, so that it is decoded to less than "
            f"{1 << max(bits - 8, 0)} of 256 levels",
            examples,
            None,
            accept=Accept.UNUSED_BITS,
            advice=f"multiply all values by {factor} and save them again, or save them with 8 "
            "bits; do the same on the device",
        )
    ]
