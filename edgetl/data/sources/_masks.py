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

_CERTAIN = r"(?:\w*_)?(?:mask|masks|maskcrop|segmentation|ground_?truth)"
_NAMED = re.compile(rf"(?P<base>.+?)[\s_.-]+{_CERTAIN}(?:[\s_.-]*\d+)?", re.IGNORECASE)
"""The stem of a mask, with that of its image in front."""
_MAYBE = re.compile(
    r"(?P<base>.+?)[\s_.-]+(?:seg|gt|label|labels|labelids|matte|alpha|annotation|anno)"
    r"(?:[\s_.-]*\d+)?",
    re.IGNORECASE,
)
"""Likewise, if the content agrees."""
_PREFIXED = re.compile(r"(?:mask|segmentation|ground_?truth)[\s_.-]+(?P<base>.+)", re.IGNORECASE)
_FOLDER_WORDS = frozenset(
    {"mask", "masks", "groundtruth", "groundtruths", "gt", "segmentation", "segmentations"}
    | {"segmentationclass", "segmentationobject", "trimap", "trimaps"}
)
_FOLDER_FILLERS = frozenset(
    {"binary", "instance", "semantic", "object", "class", "png", "id", "ids", "lesion"}
)
_IMAGE_FOLDERS = frozenset(
    {"images", "image", "imgs", "img", "jpegimages", "pictures", "originals", "original", "rgb"}
    | {"input", "inputs", "raw", "data", "frames", "jpg"}
)
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
    masks = _in_mask_folders(images, look)
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
    for name in images:
        folder = _outermost_mask_folder(name)
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


def _outermost_mask_folder(name: str) -> str:
    parts = name.split("/")[:-1]
    for count, part in enumerate(parts, start=1):
        if is_mask_folder(part):
            return "/".join(parts[:count])
    return ""


def _is_image_folder(name: str) -> bool:
    return name.casefold() in _IMAGE_FOLDERS or is_like_a_split(name)


def _base(name: str) -> str:
    """Return the stem of an image, or of the image that a mask belongs to."""
    stem = splitext(basename(name))[0]
    match = _NAMED.fullmatch(stem) or _MAYBE.fullmatch(stem) or _PREFIXED.fullmatch(stem)
    return (match["base"] if match else stem).casefold()


def _beside_their_image(images: Iterable[str], look: _Look) -> set[str]:
    """Return the images that are called like another one in their folder, and like a mask."""
    stems = {splitext(name)[0]: name for name in images}
    masks: set[str] = set()
    open_pairs: dict[str, str] = {}
    for stem, name in stems.items():
        folder, slash, file = stem.rpartition("/")
        named = _NAMED.fullmatch(file) or _PREFIXED.fullmatch(file)
        if named and f"{folder}{slash}{named['base']}" in stems:
            masks.add(name)
            continue
        maybe = _MAYBE.fullmatch(file)
        image = stems.get(f"{folder}{slash}{maybe['base']}") if maybe else None
        if image:
            open_pairs[name] = image
    return masks | look.masks(open_pairs)


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
    masks: set[str] = set()
    for folder, members in lossless.items():
        beside = photographs.get(folder, {})
        masks |= look.masks({
            name: beside[stem] for stem, name in members.items() if stem in beside
        })  # fmt: skip
        if not beside:
            for others in photographs.values():
                pairs = {name: others[stem] for stem, name in members.items() if stem in others}
                if len(pairs) == len(members):
                    masks |= look.masks(pairs)
                    break
    return masks
