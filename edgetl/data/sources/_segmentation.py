"""Recognise data for segmentation: masks are the labels, folders are places or scenes."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from posixpath import basename, splitext

from edgetl.data.listing import Ignored, Sample

_CITYSCAPES = re.compile(r"leftimg8bit|rightimg8bit", re.IGNORECASE)
"""The end of the names of images in Cityscapes, and in data with its layout."""
_MIN_COVERED = 0.8
"""Of the images, those with a mask."""


def masks_of(ignored: Collection[Ignored]) -> tuple[str, ...]:
    """Return the masks among the images that are no examples."""
    return next((each.names for each in ignored if each.what == "masks"), ())


def has_masks(num_images: int, masks: Sequence[str]) -> bool:
    """Return whether most images have a mask."""
    return 0 < num_images * _MIN_COVERED <= len(masks)


def why_segmentation(samples: Sequence[Sample], masks: Sequence[str]) -> str:
    """Return why folders are no classes but parts of data for segmentation; empty if they may be.

    There is a second tree with the same folders, which has a mask for each image
    (`gtFine/train/ulm` beside `leftImg8bit/train/ulm`). Masks inside each class (`cat/masks`) are
    no such tree.

    Args:
        samples: Images that are labelled by their folders.
        masks: Images that are masks.
    """
    ends = {end for folder in {_folder(name) for name in masks} for end in _ends(folder)}
    covered = sum(_from_class(sample) in ends for sample in samples)
    if has_masks(len(samples), masks) and covered >= _MIN_COVERED * len(samples):
        return f"there is a tree of masks with the same folders, such as {_folder(min(masks))}/"
    named = [each.name for each in samples if _is_cityscapes(each.name)]
    if len(named) >= _MIN_COVERED * len(samples):
        return f"the images are called as in Cityscapes, such as {basename(named[0])}"
    return ""


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _ends(folder: str) -> list[str]:
    """Return the endings of a path: `b/c` and `c` of `a/b/c`."""
    parts = folder.split("/")
    return ["/".join(parts[start:]) for start in range(1, len(parts))]


def _from_class(sample: Sample) -> str:
    """Return the folder of an image from that of its class on: `cat/x` of `train/cat/x/1.jpg`."""
    *folders, _ = sample.name.split("/")
    start = folders.index(sample.label) if sample.label in folders else 0
    return "/".join(folders[start:])


def _is_cityscapes(name: str) -> bool:
    stem = splitext(basename(name))[0]
    return bool(_CITYSCAPES.fullmatch(stem.rpartition("_")[2]))
