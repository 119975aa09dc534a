"""Choose among layouts that all recognise the same files."""

from __future__ import annotations

import re
from collections.abc import Mapping

from edgetl.data.listing import LabelOrigin, Listing, Sample
from edgetl.types import LabelKind

_MIN_CLASSES = 2
_BETWEEN = re.compile(r"[\s_-]+")
_DECIMALS = 3
"""Of pixels or fractions on which two label files of the same boxes agree."""


def agreed(listings: Mapping[str, Listing], origins: Mapping[str, LabelOrigin]) -> str:
    """Return the layout to read: the only one with labels, or one that says what all others say.

    Args:
        listings: What each layout lists, by its name.
        origins: Where each layout gets the labels. Where label files say the same as the folders,
            the folders are preferred, as they list every image. Names of files only count if
            nothing else names classes.

    Returns:
        A name; empty if the layouts contradict each other.
    """
    # One folder with all images is no class that could contradict a label file.
    real = [
        name
        for name, listing in listings.items()
        if origins[name] is LabelOrigin.LABEL_FILES or len(listing.classes) >= _MIN_CLASSES
    ]
    strong = [name for name in real if origins[name] is not LabelOrigin.FILE_NAMES]
    ordered = sorted(
        strong or real or listings,
        key=lambda name: (
            origins[name],
            -sum(sample.labelled for sample in listings[name].samples),
            -len(listings[name].labels),
        ),
    )
    first = ordered[0]
    same = all(_say_the_same(listings[first], listings[name]) for name in ordered[1:])
    return first if same else ""


def _say_the_same(one: Listing, other: Listing) -> bool:
    """Return whether two layouts agree on every image that both have, and have some in common."""
    spoken = {sample.name: _content(one, sample) for sample in one.samples}
    common = [sample for sample in other.samples if sample.name in spoken]
    return bool(common) and all(spoken[sample.name] == _content(other, sample) for sample in common)


def _content(listing: Listing, sample: Sample) -> tuple[object, ...]:
    """Return what a layout says of an image."""
    label = _BETWEEN.sub(" ", sample.label.casefold())
    label = str(int(label)) if label.isdecimal() else label  # class 7 in the folder 00007
    if listing.label_kind is LabelKind.CLASSES:
        return label, sample.split
    boxes = sorted(
        (box.label, *(round(value, _DECIMALS) for value in box.corners)) for box in sample.boxes
    )
    return sample.split, sample.labelled, sample.relative, *boxes
