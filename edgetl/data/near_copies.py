"""Find images that look almost like one of another split: saved again, scaled, or the next frame.

Each image is reduced to a few grey levels. Two images are nearly the same if almost all neighbours
among these differ in the same direction (the difference hash) and the levels hardly differ.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgetl.types import Split

if TYPE_CHECKING:  # planning must not wait for Pillow
    from PIL import Image

_SIDE = 16
_BITS = _SIDE * _SIDE
_BANDS = 16
_MAX_BITS = _BANDS - 1
"""Differing bits of two near copies; with fewer than bands, one band at least is equal."""
_MIN_STEP = 2
"""Between neighbouring levels; smaller ones are noise of the compression."""
_MIN_SPREAD = 6.0
"""Standard deviation of the levels; images with less show too little to be compared."""
_MAX_DIFFERENCE = 0.06
"""Mean difference of the levels, as a share of their standard deviation."""
_MAX_COMPARED = 64
"""Images with an equal band that one is compared with."""


@dataclass(frozen=True, slots=True)
class Sketch:
    """An image, reduced to what near copies have in common."""

    bits: int
    """One for each pair of neighbours, set if the right one is brighter."""
    levels: bytes
    """Grey levels, by row."""
    spread: float
    """Standard deviation of the levels."""


def sketch(image: Image.Image) -> Sketch | None:
    """Return the sketch of an image; None if it shows too little to be compared."""
    from PIL import Image, ImageStat

    small = image.convert("L").resize((_SIDE + 1, _SIDE), Image.Resampling.BOX)
    spread = float(ImageStat.Stat(small).stddev[0])
    if spread < _MIN_SPREAD:
        return None
    levels = small.tobytes()
    bits = 0
    for row in range(_SIDE):
        start = row * (_SIDE + 1)
        for at in range(start, start + _SIDE):
            bits = bits << 1 | (levels[at + 1] >= levels[at] + _MIN_STEP)
    return Sketch(bits, levels, spread)


def near_copies(
    sketches: Mapping[str, Sketch], splits: Mapping[str, Split], groups: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Return images that look almost like one of another split, each with that image.

    Args:
        sketches: By image.
        splits: Split of each image.
        groups: Images that are known to be copies of each other, to the name of their group.
    """
    copies: dict[str, str] = {}
    for name, other in _candidates(sketches, splits):
        known = groups.get(name, name) == groups.get(other, other)
        if splits[name] is splits[other] or known or name in copies:
            continue
        if _are_near(sketches[name], sketches[other]):
            copies[name] = other
    return sorted(copies.items())


def _candidates(
    sketches: Mapping[str, Sketch], splits: Mapping[str, Split]
) -> Iterator[tuple[str, str]]:
    """Yield pairs of which one band of bits is equal, the image outside of train first."""
    width = _BITS // _BANDS
    for band in range(_BANDS):
        alike: dict[int, list[str]] = defaultdict(list)
        for name, each in sketches.items():
            if name in splits:
                alike[each.bits >> band * width & (1 << width) - 1].append(name)
        for names in alike.values():
            yield from _pairs(names, splits)


def _pairs(names: Sequence[str], splits: Mapping[str, Split]) -> Iterator[tuple[str, str]]:
    train = [name for name in names if splits[name] is Split.TRAIN]
    rest = [name for name in names if splits[name] is not Split.TRAIN]
    for position, name in enumerate(rest):
        for other in (*train[:_MAX_COMPARED], *rest[position + 1 : position + _MAX_COMPARED]):
            yield name, other


def _are_near(one: Sketch, other: Sketch) -> bool:
    if (one.bits ^ other.bits).bit_count() > _MAX_BITS:
        return False
    total = sum(abs(a - b) for a, b in zip(one.levels, other.levels, strict=True))
    return total <= _MAX_DIFFERENCE * min(one.spread, other.spread) * len(one.levels)
