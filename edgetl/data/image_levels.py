"""Find 16-bit images that use so few of their levels that decoding leaves them almost black."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from posixpath import basename, dirname, splitext

from edgetl.config.recipe import Accept
from edgetl.data.findings import Finding
from edgetl.data.listing_notes import few

_BITS = 16
_USUAL_BITS = 15
"""Bits that the brightest of several images needs at least; sensors of 10 to 14 bits need less."""
_OUTLIERS = 0.05
"""Share of images that do not decide on the bits of a set: a hot pixel or a border makes them."""
_MIN_IMAGES = 4
"""Of a part of a set that is compared with the rest; fewer may all be dark."""
_MIN_BITS_LESS = 2
_LAST_NUMBER = re.compile(r"\d+$")


def find_unused_bits(
    levels: Mapping[str, int], labels: Mapping[str, str], accept: Collection[Accept]
) -> list[Finding]:
    """Return the finding that images, or those of one part of the set, use few of their bits.

    Images with 16 bits are decoded to their high byte, here and on the device.

    Args:
        levels: Highest grey level of each 16-bit image, by name.
        labels: The class of each image that has one, by name.
        accept: What the recipe accepts.
    """
    if not levels or Accept.UNUSED_BITS in accept:
        return []
    ordered = sorted(levels.values())
    bits = ordered[math.ceil((1 - _OUTLIERS) * len(ordered)) - 1].bit_length()
    if bits < _USUAL_BITS:
        return [_all_dark(levels, bits)]
    return _part_dark(levels, labels, bits)


def _all_dark(levels: Mapping[str, int], bits: int) -> Finding:
    dark = {name: level for name, level in sorted(levels.items()) if level.bit_length() <= bits}
    brighter = sorted(levels.keys() - dark.keys())
    but = f", but for {len(brighter):,} of {len(levels):,}," if brighter else ""
    outliers = f" but those of {few(brighter)}, which are brighter," if brighter else ""
    return Finding(
        f"16-bit image of a set that{but} uses only {bits} bits, so that it is decoded to less "
        f"than {1 << max(bits - 8, 0)} of 256 levels",
        tuple(f"{name}: at most {level:,}" for name, level in dark.items()),
        None,
        accept=Accept.UNUSED_BITS,
        advice=f"multiply all values{outliers} by {1 << (_BITS - bits)} and save them again, or "
        "save them with 8 bits; do the same on the device",
    )


def _part_dark(levels: Mapping[str, int], labels: Mapping[str, str], bits: int) -> list[Finding]:
    """Return the finding of classes, folders or series that use fewer bits than the rest.

    A classifier would tell them by their depth.
    """
    parts: dict[str, Callable[[str], str]] = {
        "class": lambda name: labels.get(name, ""),
        "folder": dirname,
        "series of file names": _series,
        "group that ends at one level": lambda name: _end_of_range(levels[name]),
    }
    for kind, part_of in parts.items():
        members: dict[str, list[int]] = defaultdict(list)
        for name, level in levels.items():
            members[part_of(name)].append(level)
        dark = {
            part: max(part_levels)
            for part, part_levels in sorted(members.items())
            if part
            and len(part_levels) >= _MIN_IMAGES
            and max(part_levels).bit_length() <= bits - _MIN_BITS_LESS
        }
        if dark:
            return [_finding_of_part(kind, dark, {part: len(members[part]) for part in dark}, bits)]
    return []


def _finding_of_part(
    kind: str, dark: Mapping[str, int], counts: Mapping[str, int], bits: int
) -> Finding:
    factors = {part: 1 << (bits - highest.bit_length()) for part, highest in dark.items()}
    return Finding(
        f"{kind} of 16-bit images with fewer bits than the others, so that it is decoded darker",
        tuple(
            f"{part}: at most {highest:,} in {counts[part]:,} images, {highest.bit_length()} "
            f"instead of {bits} bits"
            for part, highest in dark.items()
        ),
        None,
        accept=Accept.UNUSED_BITS,
        advice="multiply the values of these images "
        f"({few([f'{part} by {factor:,}' for part, factor in factors.items()])}), so that all use "
        "the same bits, and save them again; do the same on the device",
    )


def _series(name: str) -> str:
    """Return the path without the number that it ends in."""
    stem = splitext(name)[0]
    series = _LAST_NUMBER.sub("", stem)
    return series if basename(series) else ""


def _end_of_range(level: int) -> str:
    """Return the end of a range of 9 to 14 bits, such as 4,095 of 12; empty if it is none."""
    is_end = level & (level + 1) == 0 and 1 << 8 <= level < 1 << (_USUAL_BITS - 1)
    return f"images up to {level:,}" if is_end else ""
