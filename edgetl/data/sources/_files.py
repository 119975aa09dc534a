"""Interpret file names: images, splits, and pairs of images and labels."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Mapping
from itertools import chain
from posixpath import basename, splitext
from unicodedata import normalize
from urllib.parse import unquote, urlsplit

from edgetl.data.container import Container
from edgetl.data.hidden_files import is_hidden
from edgetl.data.sources._screened import ScreenedContainer
from edgetl.data.split_names import KNOWN_SPLITS
from edgetl.errors import DataError
from edgetl.runtime.errors import ImageError
from edgetl.types import Split

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp"}
    | {".ppm", ".pgm", ".pnm", ".jp2", ".avif", ".heic", ".heif"}
)
"""Suffixes of image files, including formats that Pillow may not read, so that nothing is dropped
silently."""

_BYTE_ORDER_MARK = "\ufeff"
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # starts with the mark of UTF-16, so it comes first
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF8, "utf-8"),
)


def composed(name: str) -> str:
    """Return a name in Unicode normal form C, for comparisons only.

    Some systems store accents as separate characters, so names that look the same may differ.
    """
    return normalize("NFC", name)


def has_image_suffix(name: str) -> bool:
    """Return whether a name has the suffix of an image."""
    return splitext(name)[1].lower() in IMAGE_SUFFIXES


def is_image(name: str) -> bool:
    """Return whether a file has the name of an image."""
    return has_image_suffix(name) and not is_hidden(name)


def find_images(container: Container) -> tuple[str, ...]:
    """Return the names of all images, sorted, followed by excluded ones.

    Excluded images are needed to match their labels; `list_samples` drops both.
    """
    if isinstance(container, ScreenedContainer):
        return container.images
    return tuple(name for name in (*container.files, *container.excluded) if is_image(name))


def with_suffix(container: Container, *suffixes: str) -> tuple[str, ...]:
    """Return the names of non-hidden files with one of `suffixes`, ignoring case."""
    if isinstance(container, ScreenedContainer):
        groups = [container.by_suffix.get(suffix, ()) for suffix in suffixes]
        return groups[0] if len(groups) == 1 else tuple(sorted(chain(*groups)))
    return tuple(
        name
        for name in container.files
        if splitext(name)[1].lower() in suffixes and not is_hidden(name)
    )


def pair_key(name: str, ignored_folders: Iterable[str]) -> str:
    """Return a key shared by an image and its labels: the composed path without suffix.

    Args:
        name: Path of an image or of its labels.
        ignored_folders: Names of folders for images or labels only, in lower case; the last part
            of the path that is one of them is removed.
    """
    *folders, file = composed(name).split("/")
    known = frozenset(ignored_folders)
    for position in range(len(folders) - 1, -1, -1):
        if folders[position].lower() in known:
            del folders[position]
            break
    return "/".join([*folders, splitext(file)[0]])


def given_splits(
    splits: Mapping[str, Split | None], layout: str, excluded: Iterable[str] = ()
) -> frozenset[Split]:
    """Return the splits defined by the labels; empty if edgetl has to split the data.

    Args:
        splits: By the file that is in them.
        layout: Name of the layout in messages.
        excluded: Files that do not count.

    Raises:
        DataError: If only some files are in a split, or none is in train.
    """
    skipped = frozenset(excluded)
    splits = {name: split for name, split in splits.items() if name not in skipped}
    named = frozenset(split for split in splits.values() if split)
    outside = sorted(name for name, split in splits.items() if not split)
    if named and outside:
        folder = outside[0].rpartition("/")[0]
        pattern = repr(f"{folder}/*") if folder else "..."
        raise DataError(
            f"some images of the {layout} labels are in {', '.join(sorted(named))}, some in no "
            f"split, such as {f'those in {folder}/' if folder else outside[0]}",
            remedy="move them into the splits, or exclude them with "
            f"`data: {{exclude: [{pattern}]}}`; the names of splits are {KNOWN_SPLITS}",
        )
    if named and Split.TRAIN not in named:
        raise DataError(
            f"the {layout} labels have {', '.join(sorted(named))} but no train",
            remedy="add training images, or put all images in one folder; the names of splits "
            f"are {KNOWN_SPLITS}",
        )
    return named


def read_text(container: Container, name: str) -> str:
    """Return the content of a text file without its byte order mark, which decides the encoding.

    Raises:
        ValueError: If it cannot be read, or is not UTF-8 and has no mark of another encoding; the
            message gives the reason.
    """
    try:
        content = container.read(name)
    except ImageError as error:
        raise ValueError(error.message.partition(": ")[2]) from error
    encoding = _encoding(content)
    try:
        return content.decode(encoding).removeprefix(_BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        raise ValueError(f"not {encoding.upper()} text (byte {error.start})") from error


def decoded(content: bytes) -> str:
    """Return a text for a first look, whatever its encoding; see `read_text` for its content."""
    return content.decode(_encoding(content), errors="replace").removeprefix(_BYTE_ORDER_MARK)


def _encoding(content: bytes) -> str:
    """Return the encoding that a byte order mark states, or that the first character shows."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding
    # A mark is often lost. Texts start with an ASCII character, whose other byte is zero.
    if content[1:2] == b"\0" and content[:1] not in {b"\0", b""}:
        return "utf-16-le"
    if content[:1] == b"\0" and content[1:2] not in {b"\0", b""}:
        return "utf-16-be"
    return "utf-8"


def local_path(path: str) -> list[str]:
    """Return the parts of a path from another machine; of an address without its query."""
    if "://" in path:
        path = unquote(urlsplit(path).path)
    raw = composed(path).replace("\\", "/").split("/")
    return [part for part in raw if part not in {"", ".", ".."}]


class ImageNames:
    """Images by the last part of their path, whatever the case where none has the exact name."""

    def __init__(self, names: Iterable[str]) -> None:
        self._exact: dict[str, list[str]] = {}
        self._folded: dict[str, list[str]] = {}
        for name in names:
            last = composed(basename(name))
            self._exact.setdefault(last, []).append(name)
            self._folded.setdefault(last.casefold(), []).append(name)

    def called(self, last: str) -> list[str]:
        """Return the images with this composed last part."""
        return self._exact.get(last) or self._folded.get(last.casefold(), [])

    def ending(self, path: str) -> list[str]:
        """Return the images that match a path from another machine, by the longest common ending.

        Args:
            path: With slashes or backslashes, relative or absolute, or an address.
        """
        parts = local_path(path)
        if not parts:
            return []
        candidates = self.called(parts[-1])
        ends = [f"/{composed(name)}".casefold() for name in candidates]
        for count in range(len(parts), 1, -1):
            ending = f"/{'/'.join(parts[-count:])}".casefold()
            longer = [
                name for name, end in zip(candidates, ends, strict=True) if end.endswith(ending)
            ]
            if longer:
                return longer
        return candidates
