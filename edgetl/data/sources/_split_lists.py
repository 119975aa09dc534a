"""Read lists of images that name splits: `meta/train.txt` and `meta/test.txt`, a path per line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from posixpath import basename, splitext

from edgetl.data.container import Container
from edgetl.data.sources._files import read_text, with_suffix
from edgetl.data.sources._lookup import ImageLookup
from edgetl.data.split_names import split_in
from edgetl.errors import DataError
from edgetl.types import Split

_MIN_SHARE = 0.9
"""Of the lines, those that name an image."""
_LOOKED_AT = 100


def read_split_lists(
    container: Container, images: Sequence[str]
) -> tuple[dict[str, Split], tuple[str, ...]]:
    """Return the split of every listed image, and the lists; empty if they only name training.

    Without a list for training, it has the images that are in no list.

    Raises:
        DataError: If lists of different splits name the same image.
    """
    lookup = ImageLookup(images)
    lists = {name: split for name, split in _candidates(container) if _names_images(
        container, name, lookup
    )}  # fmt: skip
    if set(lists.values()) <= {Split.TRAIN}:
        return {}, ()
    splits: dict[str, Split] = {}
    for name, split in lists.items():
        for line in _lines(container, name):
            for image in _find(line, name, lookup):
                if splits.setdefault(image, split) is not split:
                    raise DataError(
                        f"image '{image}' is in {name} and in a list of the {splits[image]} split",
                        remedy="exclude all lists but one per split with `data: {exclude: [...]}`: "
                        + ", ".join(lists),
                    )
    if Split.TRAIN not in lists.values():
        splits = dict.fromkeys(images, Split.TRAIN) | splits
    return splits, tuple(lists)


def _candidates(container: Container) -> Iterator[tuple[str, Split]]:
    for name in with_suffix(container, ".txt", ".lst"):
        split = split_in(splitext(basename(name))[0])
        if split:
            yield name, split


def _names_images(container: Container, name: str, lookup: ImageLookup) -> bool:
    lines = _lines(container, name)[:_LOOKED_AT]
    hits = sum(bool(_find(line, name, lookup)) for line in lines)
    return bool(lines) and hits >= _MIN_SHARE * len(lines)


def _find(line: str, name: str, lookup: ImageLookup) -> list[str]:
    """Return the image of a line, which may go on with a class number; empty if unclear."""
    images = lookup.find(line, name) or lookup.find(line.split(maxsplit=1)[0], name)
    return images if len(images) == 1 else []


def _lines(container: Container, name: str) -> list[str]:
    try:
        return [line.strip() for line in read_text(container, name).splitlines() if line.strip()]
    except ValueError:
        return []
