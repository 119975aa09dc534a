"""Recognise masks: images that mark the objects of other images, pixel by pixel.

Their names tell (`a_mask.png` beside `a.png`, `masks/` beside `images/`), or their content: few
colours, on an image with the name of another one that has many.
"""

from __future__ import annotations

import io
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from posixpath import basename, splitext

from edgetl.data.container import Container
from edgetl.data.split_names import is_like_a_split, words_beside
from edgetl.runtime.errors import ImageError

_CERTAIN = r"(?:mask|masks|maskcrop|segmentation|ground_?truth)"
_NUMBER = r"(?:[\s_.-]*\d+)?"
_NAMED = (
    re.compile(rf"(?P<base>.+)[\s_.-]+{_CERTAIN}{_NUMBER}", re.IGNORECASE),
    re.compile(rf"(?P<base>.+)[\s_.-]+[a-z]+[\s_.-]+{_CERTAIN}{_NUMBER}", re.IGNORECASE),
)
"""The stem of a mask, with that of its image in front, or another word between: `1_lesion_mask`."""
_MAYBE = re.compile(
    r"(?P<base>.+?)[\s_.-]+(?:gt(?:fine|coarse)[\s_.-])?(?:seg|gt|label|labels|labelids|instanceids|"
    rf"colou?r|colou?red|matte|alpha|annotation|anno){_NUMBER}",
    re.IGNORECASE,
)
"""Likewise, if the content agrees."""
_HINT = re.compile(r"mask|seg|truth|gt|label|colou?r|matte|alpha|anno|ids", re.IGNORECASE)
"""A part of all these names."""
_IMAGE_ENDING = re.compile(
    r"(?P<base>.+)[\s_.-]+(?:leftimg8bit|image|img|rgb|input)", re.IGNORECASE
)
"""The stem of an image that has masks of another ending."""
_PREFIXED = re.compile(r"(?:mask|segmentation|ground_?truth)[\s_.-]+(?P<base>.+)", re.IGNORECASE)
_FOLDER_WORDS = frozenset(
    {"mask", "masks", "groundtruth", "groundtruths", "gt", "segmentation", "segmentations"}
    | {"segmentationclass", "segmentationobject", "trimap", "trimaps"}
)
_FOLDER_FILLERS = frozenset(
    {
        "binary",
        "instance",
        "semantic",
        "object",
        "class",
        "png",
        "id",
        "ids",
        "lesion",
        "fine",
        "coarse",
    }
)
_IMAGE_FOLDERS = frozenset(
    {"images", "image", "imgs", "img", "jpegimages", "pictures", "originals", "original", "rgb"}
    | {"input", "inputs", "raw", "data", "frames", "jpg"}
)
_TARGETS = frozenset(
    {"labels", "label", "annotations", "annotation", "annot", "annots", "targets", "target"}
    | {"outputs", "output", "semantic", "semantic_rgb", "instance", "panoptic", "segmentations"}
)
"""Folders that may hold masks, if the content agrees."""
_OF_SPLIT = re.compile(r"^(?:train|val|valid|validation|test)(?:ing)?[\s_.-]*(?=[a-z])")
_ADDED = re.compile(r"[\s_.-]+[a-z]+$", re.IGNORECASE)
_LOSSLESS = frozenset({".png", ".bmp", ".gif", ".tif", ".tiff"})
_LOSSY = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".webp"})
_MIN_PAIRED = 0.8
"""Of the images in a folder of masks, those with the name of an image elsewhere."""
_SAMPLES = 8
_LEVELS_SHIFT = 5
"""Colours are compared by their three highest bits, so that those of JPEG edges merge."""
_COLOURS = 4
_COVERED = 0.97
"""Share of a mask that so many colours cover."""


def is_mask_folder(name: str) -> bool:
    """Return whether a folder is called like one of masks: `masks`, `ground_truth`, `gt`."""
    words = words_beside(name.replace("truth", "truth "))
    joined = {"groundtruth" if word in {"ground", "truth"} else word for word in words}
    return bool(joined & _FOLDER_WORDS) and joined <= _FOLDER_WORDS | _FOLDER_FILLERS


def find_masks(container: Container, images: Sequence[str]) -> frozenset[str]:
    """Return the images that are masks of others.

    Args:
        container: To look into a few images, only if names leave it open.
        images: Names of all images.
    """
    look = _Look(container)
    masks = _in_mask_folders(images, look) if _mask_folders(images) else set()
    rest = [name for name in images if name not in masks]
    masks |= _beside_their_image(rest, look)
    rest = [name for name in rest if name not in masks]
    return frozenset(masks | _of_other_suffix(rest, look))


class _Look:
    """Decodes images as rarely as possible."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._flat: dict[str, bool | None] = {}

    def masks(self, pairs: Mapping[str, str]) -> set[str]:
        """Return which of the images, each with the image that it may be a mask of, are masks.

        A few decide on all of them if they agree.
        """
        names = sorted(pairs)
        sampled = names[:: max(1, len(names) // _SAMPLES)]
        results = [self._is_mask(name, pairs[name]) for name in sampled]
        if all(results):
            return set(names)
        if not any(results):
            return set()
        return {name for name in names if self._is_mask(name, pairs[name])}

    def _is_mask(self, name: str, image: str) -> bool:
        return self._is_flat(name) is True and self._is_flat(image) is False

    def _is_flat(self, name: str) -> bool | None:
        """Return whether few colours cover an image; None if it cannot be decoded."""
        if name not in self._flat:
            self._flat[name] = _covered_by_few_colours(self._container, name)
        return self._flat[name]


def _covered_by_few_colours(container: Container, name: str) -> bool | None:
    import numpy as np

    from edgetl.runtime.image_file import read_image

    try:
        pixels = read_image(io.BytesIO(container.read(name)), name=name)
    except ImageError:
        return None
    levels = (pixels[::2, ::2] >> _LEVELS_SHIFT).astype(np.int64)
    colours = (levels[..., 0] << 6) | (levels[..., 1] << 3) | levels[..., 2]
    counts = np.sort(np.unique(colours, return_counts=True)[1])
    return bool(counts[-_COLOURS:].sum() >= _COVERED * colours.size)


def _in_mask_folders(images: Sequence[str], look: _Look) -> set[str]:
    """Return the images in folders of masks: beside a folder of images, or by their content."""
    folders: dict[str, list[str]] = defaultdict(list)
    outside: dict[str, str] = {}
    known = _mask_folders(images)
    for name in images:
        folder = known.get(name.rpartition("/")[0], "")
        if folder:
            folders[folder].append(name)
        else:
            outside.setdefault(_base(name), name)
    parents = {name.rpartition("/")[0] for name in images}
    masks: set[str] = set()
    for folder, members in folders.items():
        parent = folder.rpartition("/")[0]
        prefix = f"{parent}/" if parent else ""
        siblings = {
            each.removeprefix(prefix).partition("/")[0]
            for each in parents
            if each.startswith(prefix) and each != folder
        } - {folder.removeprefix(prefix)}
        if any(_is_image_folder(sibling) for sibling in siblings):
            masks.update(members)
            continue
        pairs = {name: outside[_base(name)] for name in members if _base(name) in outside}
        if len(pairs) >= _MIN_PAIRED * len(members) and look.masks(pairs):
            masks.update(members)
    return masks


def _mask_folders(images: Iterable[str]) -> dict[str, str]:
    """Return the folders in or below one of masks, each with the outermost one of masks."""
    folders: dict[str, str] = {}
    for parent in {name.rpartition("/")[0] for name in images}:
        parts = parent.split("/")
        for count, part in enumerate(parts, start=1):
            if is_mask_folder(part):
                folders[parent] = "/".join(parts[:count])
                break
    return folders


def _is_image_folder(name: str) -> bool:
    return name.casefold() in _IMAGE_FOLDERS or is_like_a_split(name)


def _base(name: str) -> str:
    """Return the stem of an image, or of the image that a mask belongs to."""
    stem = splitext(basename(name))[0]
    maybe = _MAYBE.fullmatch(stem) or _IMAGE_ENDING.fullmatch(stem)
    bases = [*_named_bases(stem), *([maybe["base"]] if maybe else []), stem]
    return bases[0].casefold()


def _named_bases(stem: str) -> list[str]:
    """Return the stems of images that a mask of this name may belong to; none if it is no mask."""
    matches = (pattern.fullmatch(stem) for pattern in (*_NAMED, _PREFIXED))
    return [match["base"] for match in matches if match]


def _beside_their_image(images: Iterable[str], look: _Look) -> set[str]:
    """Return the images that are called like another one in their folder, and like a mask."""
    stems = {splitext(name)[0]: name for name in images}
    masks: set[str] = set()
    open_pairs: dict[str, str] = {}
    for stem, name in stems.items():
        if not _HINT.search(stem, stem.rfind("/") + 1):
            continue
        folder, slash, file = stem.rpartition("/")
        if any(f"{folder}{slash}{base}" in stems for base in _named_bases(file)):
            masks.add(name)
            continue
        maybe = _MAYBE.fullmatch(file)
        image = stems.get(f"{folder}{slash}{maybe['base']}") if maybe else None
        if image:
            open_pairs[name] = image
    return masks | look.masks(open_pairs)


def _is_target(folder: str) -> bool:
    """Return whether a folder is called `labels` or the like: also `train_labels`, `valannot`."""
    target = _OF_SPLIT.sub("", folder.casefold())
    return target in _TARGETS


def _shorter(stem: str) -> str:
    """Return a stem without the letters that masks add to that of their image: `1_L`."""
    return _ADDED.sub("", stem)


def _folders_of_masks(
    photographs: Mapping[str, Mapping[str, str]], lossless: Mapping[str, Mapping[str, str]]
) -> set[str]:
    """Return the images in folders where each is called like a mask of an image elsewhere."""
    masks: set[str] = set()
    for folder, members in lossless.items():
        if not all(map(_HINT.search, members)):
            continue
        bases = [_named_bases(stem) for stem in members]
        others = [
            stems
            for kind in (photographs, lossless)
            for other, stems in kind.items()
            if other != folder and all(any(each in stems for each in names) for names in bases)
        ]
        if others:
            masks.update(members.values())
    return masks


def _of_other_suffix(images: Iterable[str], look: _Look) -> set[str]:
    """Return the lossless images with the name of a JPEG, in its folder or in another one."""
    photographs: dict[str, dict[str, str]] = defaultdict(dict)
    lossless: dict[str, dict[str, str]] = defaultdict(dict)
    for name in images:
        folder, _, file = name.rpartition("/")
        stem, suffix = splitext(file)
        if suffix.lower() in _LOSSY:
            photographs[folder][stem] = name
        elif suffix.lower() in _LOSSLESS:
            lossless[folder][stem] = name
    masks = _folders_of_masks(photographs, lossless)
    targets = {folder for folder in lossless if any(map(_is_target, folder.split("/")))}
    for folder, members in lossless.items():
        beside = photographs.get(folder, {})
        masks |= look.masks({
            name: beside[stem] for stem, name in members.items() if stem in beside
        })  # fmt: skip
        if not beside:
            is_target = folder in targets
            plain = [
                stems for other, stems in lossless.items() if is_target and other not in targets
            ]
            for others in (*photographs.values(), *plain):
                pairs = {
                    name: others[each]
                    for stem, name in members.items()
                    for each in [stem if stem in others or not is_target else _shorter(stem)]
                    if each in others
                }
                if len(pairs) == len(members):
                    masks |= look.masks(pairs)
                    break
    return masks
