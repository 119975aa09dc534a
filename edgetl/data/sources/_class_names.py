"""Refuse class folders whose names show that they are no classes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from edgetl.data.listing import Sample
from edgetl.data.sources._masks import is_mask_folder
from edgetl.data.split_names import KNOWN_SPLITS, is_like_a_split
from edgetl.errors import DataError

_HOLDERS = frozenset(
    {"images", "image", "imgs", "img", "jpegimages", "pictures", "data", "dataset", "files"}
    | {"labels", "annotations", "annotation", "classes", "jpg", "jpeg", "png", "jpgs", "pngs"}
    | {"photos", "downloads", "download", "screenshots", "gallery", "camera roll", "camera uploads"}
    | {"dcim", "camera", "misc"}
)
"""Names of folders that hold all images of a layout, a camera or a phone, in lower case."""
_LEFT_OVER = re.compile(
    r"(?:unsorted|unlabell?ed|un_?classified|to[\s_-]?sort|to[\s_-]?label|backups?|trash|"
    r"new[\s_-]folder|untitled[\s_-]folder|neuer[\s_-]ordner|nouveau[\s_-]dossier|"
    r"nueva[\s_-]carpeta|\u65b0\u5efa\u6587\u4ef6\u5939)(?:\s*\(?\d+\)?)?",
    re.IGNORECASE,
)
"""Names of folders for images that nobody has sorted, in the languages of file managers, too."""
_SUBJECT = re.compile(
    r"patient|subject|participant|volunteer|specimen|case|session|recording|visit|study|trial|"
    r"video|clip|sequence|scan|slide",
    re.IGNORECASE,
)
"""In names that differ only by a number, and so are of subjects or recordings."""
_COUNT = re.compile(r"\d+|(?<![^\W_])[a-z](?![^\W_])", re.IGNORECASE)
"""A number, or a letter in its place."""
_CAMERA = re.compile(r"[1-9]\d\d[A-Z_][A-Z\d_]{4}")
"""Folders that cameras number: `100CANON`, `101MSDCF` (CIPA DC-009, section 4.2.2)."""


_FORMS = frozenset(
    {
        "color",
        "colour",
        "colors",
        "gray",
        "grey",
        "grayscale",
        "greyscale",
        "segmented",
        "rgb",
        "bw",
    }
    | {"depth", "infrared", "ir", "nir", "thermal", "original", "originals", "raw", "processed"}
    | {"preprocessed", "augmented", "augmentation", "aug", "unaugmented", "cropped", "uncropped"}
    | {"resized", "normalized", "enhanced", "denoised", "edges", "canny", "hsv", "small", "large"}
    | {"fold", "part", "batch", "split", "subset", "chunk", "shard", "session", "run", "cv", "k"}
)
"""Words for forms and parts of a set of images, which are no classes."""
_FORM_FILLERS = frozenset({"with", "without", "no", "non", "and", "images", "image", "data", "px"})
_WORD = re.compile(r"[^\W\d_]+")
_MIN_SHARED = 0.5
"""Of the folders inside, those that two forms of the same images have in common."""


_PARTS = re.compile(r"image|img|frame|dataset|batch|chunk|shard|fold", re.IGNORECASE)
"""In names that differ only by a number, and so are parts of the images."""


def are_parts(names: Collection[str]) -> bool:
    """Return whether folders are called like parts of the images: `images_part_1`, `batch 2`."""
    plain = {re.sub(r"\d+", "", name).casefold() for name in names}
    return len(names) > 1 and len(plain) == 1 and bool(_PARTS.search(min(plain)))


def is_holder(name: str) -> bool:
    """Return whether a folder is called like one for all images of a layout or a camera."""
    return name.lower() in _HOLDERS or bool(_CAMERA.fullmatch(name))


def check_forms(base: str, inside: Mapping[str, Collection[str]]) -> None:
    """Raise an error if folders hold forms or parts of the same images, above the classes.

    Args:
        base: The folder around them, empty or ending in a slash.
        inside: The folders with images in each of them.

    Raises:
        DataError: If two folders with the names of forms have the same folders inside.
    """
    forms = sorted(name for name in inside if inside[name] and _is_form(name))
    first = set(inside[forms[0]]) if forms else set()
    same = [
        name
        for name in forms
        if len(first & {*inside[name]}) >= max(2, _MIN_SHARED * len(first | {*inside[name]}))
    ]
    if len(same) > 1:
        others = ", ".join(f"'{base}{name}/*'" for name in same[1:])
        raise DataError(
            f"the folders {', '.join(f'{base}{name}' for name in same)} have the same folders "
            f"inside ({', '.join(sorted(first)[:3])}, ...), so they are forms or parts of the "
            "images, not classes",
            remedy=f"use one of them and exclude the others, with `data: {{exclude: [{others}]}}`, "
            "or merge parts into one folder per class; if they are the classes, rename them",
        )


def _is_form(name: str) -> bool:
    words = {word.casefold() for word in _WORD.findall(name)}
    return bool(words & _FORMS) and words <= _FORMS | _FORM_FILLERS


def check_classes(root: str, classes: Collection[str], filled: Collection[str]) -> None:
    """Raise an error if a class is only a folder of a layout.

    Args:
        root: The folder with the classes or splits, empty or ending in a slash.
        classes: Their names.
        filled: Those that have images.

    Raises:
        DataError: If a class has the name of a split or of a folder of masks, or all have names of
            folders for images.
    """
    splits = sorted(name for name in classes if is_like_a_split(name))
    if splits:
        raise DataError(
            f"the folder '{splits[0]}' would be a class, but has the name of a split",
            remedy="put the splits beside each other, with one folder per class in each; delete "
            f"the folder if it is empty; the names of splits are {KNOWN_SPLITS}",
        )
    if are_parts(classes):
        raise DataError(
            f"the folders {' and '.join(sorted(classes)[:2])} are called like parts of the images, "
            "not like classes",
            remedy="sort the images into one folder per class, such as images/cat; if the parts "
            "are the classes, rename them",
        )
    masks = sorted(name for name in classes if is_mask_folder(name))
    # Faces with masks and without are usual classes.
    if any("mask" in name.casefold() for name in classes if name not in masks):
        masks = []
    if masks:
        raise DataError(
            f"the folder '{masks[0]}' would be a class, but has the name of a folder of masks",
            remedy=f"exclude it with `data: {{exclude: ['*{masks[0]}/*']}}`, or rename it if it is "
            "a class",
        )
    if filled and all(map(is_holder, filled)):
        raise DataError(
            f"'{root}{min(filled)}' is a folder for images, not a class, and nothing else names "
            "the class of an image",
            remedy="sort the images into one folder per class, such as images/cat",
        )


def unclear_levels(samples: Sequence[Sample]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the classes and the folders inside that may be the classes in their place.

    In `anna/happy`, `anna/sad`, `ben/happy` and `ben/sad` either level may name them. Folders
    that only count, such as `video1` and `video2` or `a` and `b`, do not.

    Returns:
        Both empty if it is clear, as folders inside the classes are not the same ones.
    """
    inside: dict[str, set[str]] = defaultdict(set)
    for sample in samples:
        inside[sample.label].add(_folder_inside(sample))
    common = set.intersection(*inside.values()) if inside else set()
    same = {
        name for name in common if not (is_like_a_split(name) or is_holder(name) or _is_form(name))
    }
    is_plain = "" in set().union(*inside.values())
    if len(inside) < 2 or len(same) < 2 or is_plain or _only_count(same):  # noqa: PLR2004
        return (), ()
    if len(same) < _MIN_SHARED * len(set().union(*inside.values())):
        return (), ()
    return tuple(sorted(inside)), tuple(sorted(same))


def left_over(names: Collection[str]) -> list[str]:
    """Return the folders that are called like a place for what is in no class: `unsorted`."""
    return sorted(name for name in names if _LEFT_OVER.fullmatch(name))


def are_subjects(names: Collection[str]) -> bool:
    """Return whether folders are called like single subjects or recordings: `patient_1`."""
    plain = {_COUNT.sub("", name).casefold() for name in names}
    return len(names) > 1 and len(plain) == 1 and bool(_SUBJECT.search(min(plain)))


def _folder_inside(sample: Sample) -> str:
    """Return the folder that an image lies in, directly below that of its class; empty if none."""
    *folders, _ = sample.name.split("/")
    below = folders[folders.index(sample.label) + 1 :] if sample.label in folders else []
    return below[0] if below else ""


def _only_count(names: Collection[str]) -> bool:
    return len({_COUNT.sub("", name).casefold() for name in names}) == 1
