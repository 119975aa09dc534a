"""What the names of files say: images, hidden files, splits, and which labels belong to what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from posixpath import basename, splitext
from unicodedata import normalize

from edgetl.data.container import Container
from edgetl.errors import DataError
from edgetl.runtime.errors import ImageError
from edgetl.types import Split

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp"}
    | {".ppm", ".pgm", ".pnm", ".jp2", ".avif", ".heic", ".heif"}
)
"""Files that mean to be images, also those that Pillow may be unable to read: nothing is lost
silently."""

SPLIT_NAMES: Mapping[str, Split] = {
    "train": Split.TRAIN,
    "val": Split.VAL,
    "valid": Split.VAL,
    "validation": Split.VAL,
    "test": Split.TEST,
}
"""Names of folders and files, in small letters."""


def composed(name: str) -> str:
    """Return a name with every letter as one character, for comparisons alone.

    Some systems store accents apart from their letters, so that names that look the same differ.
    """
    return normalize("NFC", name)


def is_hidden(name: str) -> bool:
    """Return whether some part of the path is a hidden or a packer's folder or file."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def is_image(name: str) -> bool:
    """Return whether a file means to be an image."""
    return splitext(name)[1].lower() in IMAGE_SUFFIXES and not is_hidden(name)


def find_images(container: Container) -> tuple[str, ...]:
    """Return the names of all images, sorted, but excluded ones last.

    Labels of excluded images are theirs all the same; `list_samples` drops both.
    """
    return tuple(name for name in (*container.files, *container.excluded) if is_image(name))


def with_suffix(container: Container, *suffixes: str) -> tuple[str, ...]:
    """Return the names of files that end in one of `suffixes` in any case, without hidden ones."""
    return tuple(
        name
        for name in container.files
        if splitext(name)[1].lower() in suffixes and not is_hidden(name)
    )


def pair_key(name: str, rooms: Iterable[str]) -> str:
    """Return what an image and its labels share: the composed path without suffix and a room.

    Args:
        name: Path of an image or of its labels.
        rooms: Names of folders that hold only images or only labels, in small letters; the last
            part of the path that is one of them is dropped.
    """
    *folders, file = composed(name).split("/")
    known = frozenset(rooms)
    for position in range(len(folders) - 1, -1, -1):
        if folders[position].lower() in known:
            del folders[position]
            break
    return "/".join([*folders, splitext(file)[0]])


def split_by_folder(name: str) -> Split | None:
    """Return the split that the last folder named like one stands for."""
    for part in reversed(name.split("/")[:-1]):
        if part.lower() in SPLIT_NAMES:
            return SPLIT_NAMES[part.lower()]
    return None


def given_splits(splits: Iterable[Split | None], called: str) -> frozenset[Split]:
    """Return the splits that labels are divided into; none if they leave it to edgetl.

    Raises:
        DataError: If only some are in a split, or none is in train.
    """
    found = set(splits)
    given = frozenset(split for split in found if split)
    if given and None in found:
        raise DataError(
            f"some images of the {called} labels are in {', '.join(sorted(given))}, some in no "
            "split",
            remedy="move them into the splits, or leave them out with `data: {exclude: [...]}`",
        )
    if given and Split.TRAIN not in given:
        raise DataError(
            f"the {called} labels have {', '.join(sorted(given))} but no train",
            remedy="add the images to train on, or put all of them in one folder",
        )
    return given


def read_text(container: Container, name: str) -> str:
    """Return a text file, with or without a byte order mark.

    Raises:
        ValueError: If it cannot be read or is not UTF-8; the message says which.
    """
    try:
        content = container.read(name)
    except ImageError as error:
        raise ValueError(error.message.partition(": ")[2]) from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"no UTF-8 text (byte {error.start})") from error


def find_ending(path: str, names: Mapping[str, list[str]]) -> list[str]:
    """Return the files that a path from another machine can mean, the longest agreement only.

    Args:
        path: With slashes or backslashes, relative or absolute.
        names: Files by their last part; see `by_basename`.
    """
    given = composed(path).replace("\\", "/").split("/")
    parts = [part for part in given if part not in {"", ".", ".."}]
    if not parts:
        return []
    found = names.get(parts[-1], [])
    for count in range(len(parts), 1, -1):
        ending = "/".join(parts[-count:])
        longer = [name for name in found if f"/{composed(name)}".endswith(f"/{ending}")]
        if longer:
            return longer
    return found


def by_basename(names: Iterable[str]) -> dict[str, list[str]]:
    """Return files by the last part of their path, composed."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(composed(basename(name)), []).append(name)
    return found
