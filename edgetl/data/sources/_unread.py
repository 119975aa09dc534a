"""Name what is there but not read: label files of unknown forms, archives, videos."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from posixpath import basename, splitext

from edgetl.data.container import Container
from edgetl.data.hidden_files import is_hidden
from edgetl.data.sources._csv import image_tables, read_rows, table_files
from edgetl.data.sources._files import (
    IMAGE_SUFFIXES,
    composed,
    find_images,
    has_image_suffix,
    read_text,
    with_suffix,
)
from edgetl.data.sources._json import Form, json_files
from edgetl.errors import first_of

_NAMES = re.compile(
    r"_annotations\..*|_classes\.(csv|txt)|.*\.createml\.json|.*\.labels|.*\.coco\.json|"
    r".*\.via\.json|via_region_data.*\.json|annotations\.xml|gt\.txt|groundtruth(_rect)?\.txt|"
    r"seqinfo\.ini",
    re.IGNORECASE,
)
"""Names of label files of tools, whatever is in them."""
_WEAK_NAMES = re.compile(
    r".*\.(tfrecords?(-.*)?|record|manifest|jsonl|ndjson|mat|xlsx?|parquet|lst)|"
    r".*(annotation|label|annot|bbox|boxes|target|ground.?truth)s?.*\.(txt|xml|json|ya?ml|csv|tsv)",
    re.IGNORECASE,
)
"""Names of files that may hold labels, if nothing else does."""
_BESIDE = frozenset({".txt", ".json", ".xml", ".yaml", ".yml", ".csv"})
"""Suffixes of label files of single images."""
_BESIDE_NAME = re.compile(
    r"^(?:gt|label|labels|ann|annotation)[_-]|[_-](?:gt|label|labels|ann|annotation|boxes|bbox)$",
    re.IGNORECASE,
)
"""What is put before or after the name of an image for that of its labels."""
_MIN_SHARE = 0.5
"""Of the images, those with a file of their name, so that such files are labels."""
_NAMING = (".txt", ".lst", ".json", ".jsonl", ".ndjson", ".manifest", ".xml")
"""Suffixes of files that may have labels of many images."""
_NO_LABELS = re.compile(r"sum|md5|sha\d|checksum|manifest-|readme|licen[cs]e|log", re.IGNORECASE)
"""In the names of files that name images for other purposes."""
_NAME_IN_TEXT = re.compile(
    r"[^\s/\\\"'<>|,;:=()]+\.(?:{})\b".format(
        "|".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
    ),
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"\d+[\s,;]")
"""The number of an image in front of its path."""
_MIN_NAMED, _MIN_SHARE_NAMED = 3, 0.1
"""Images that a file names at least if it is one of labels, and their share of all images."""
_MIN_NUMBERED = 0.8
"""Of the folders, those with a digit in their name if they are videos or the like."""
_MAX_SHOWN = 4
_MAX_FILES = 2
OTHER_FORMATS = frozenset(
    {".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".dcm", ".dicom", ".nii"}
    | {".mha", ".mhd", ".svs", ".ndpi", ".czi", ".lif", ".svg", ".eps", ".psd", ".xcf", ".exr"}
    | {".hdr", ".tga", ".jxl"}
)
"""Suffixes of images that are not read: of cameras, scanners and drawing programs."""
_ARCHIVES = frozenset({".zip", ".tar", ".gz", ".tgz", ".rar", ".7z", ".bz2", ".xz"})
_VIDEOS = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".h264"})
_ARRAYS = frozenset({".npy", ".npz", ".h5", ".hdf5", ".pkl", ".pickle", ".mat", ".parquet", ".bin"})
_RECORDS = frozenset({".tfrecord", ".tfrecords", ".record", ".rec", ".arrow"})
_LABELS = frozenset({".txt", ".xml", ".json", ".csv", ".labels", ".names"})


@dataclass(frozen=True, slots=True)
class Unread:
    """Label files that no layout reads."""

    what: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        """Return for example `12 .json files with the names of images (a/1.json, ...)`."""
        return f"{self.what} ({first_of(self.names, _MAX_FILES)})"


def unread_labels(
    container: Container, read: Collection[str], *, weak: bool = False
) -> tuple[Unread, ...]:
    """Return the files that look like labels and are not among those that are read.

    Args:
        container: The files.
        read: Names of the label files that are read.
        weak: Whether to name what may hold labels, too: only where nothing else names classes.
    """
    known = frozenset(read)
    unread = [*_by_name(container, known), *_beside(container, known)]
    unread += _naming(container, {name for each in unread for name in each.names} | known)
    if weak:
        unread += _weak(container, {name for each in unread for name in each.names} | known)
    return tuple(unread)


def tables_of_folders(container: Container, folders: Collection[str]) -> tuple[Unread, ...]:
    """Return the tables with a class for each folder, so that folders are no classes.

    Folders with plain words are classes, whatever a table says of them; videos have numbers.
    """
    numbered = [name for name in folders if any(map(str.isdigit, name))]
    if len(numbered) < _MIN_NUMBERED * len(folders):
        return ()
    names = [
        name
        for name in with_suffix(container, ".csv", ".tsv", ".txt")
        if _has_classes_of(container, name, frozenset(folders))
    ]
    return (Unread("table with a class for each folder", tuple(names)),) if names else ()


def _has_classes_of(container: Container, file: str, folders: Collection[str]) -> bool:
    try:
        _, rows = read_rows(container, file)
    except ValueError:
        return False
    columns = [*zip(*(row.cells for row in rows), strict=True)]
    of_folders = [column for column in columns if set(column) >= set(folders)]
    repeated = [column for column in columns if 1 < len(set(column)) <= len(folders) / 2]
    return bool(of_folders and repeated)


def join_unread(unread: Sequence[Unread]) -> str:
    """Return the kinds of label files that are not read, for a message."""
    texts = [str(each) for each in unread[:_MAX_SHOWN]]
    more = [f"and {len(unread) - _MAX_SHOWN:,} more"] if len(unread) > _MAX_SHOWN else []
    return "; ".join([*texts, *more])


def nothing_to_read(container: Container) -> str:
    """Return what a container without any image holds instead, as a remedy; empty if unclear."""
    suffixes: dict[str, list[str]] = {}
    for name in container.files:
        if not is_hidden(name):
            suffixes.setdefault(splitext(name)[1].lower(), []).append(name)

    def having(kinds: Iterable[str]) -> list[str]:
        return [name for kind in kinds for name in suffixes.get(kind, ())]

    for kinds, text in (
        (_ARCHIVES, "unpack the archives in it, each into its own folder"),
        (_VIDEOS, "save frames of the videos as images"),
        (_ARRAYS, "save the arrays as image files"),
        (OTHER_FORMATS, "save them again as 8-bit PNG or JPEG"),
        (_RECORDS, "export the images and labels again, as COCO or Pascal VOC"),
        (_LABELS, "add the images: there are only label files; with CVAT, export with images"),
    ):
        names = having(sorted(kinds))
        if names:
            return f"{text} ({first_of(names, _MAX_FILES)})"
    return ""


def _by_name(container: Container, read: frozenset[str]) -> Iterator[Unread]:
    for name in container.files:
        if name not in read and not is_hidden(name) and _NAMES.fullmatch(basename(name)):
            yield Unread("label file", (name,))


def _weak(container: Container, known: Collection[str]) -> Iterator[Unread]:
    """Yield files that may hold labels, and tables that name images."""
    tables = {table.file: table for table in image_tables(container)}
    broken = dict(_broken_tables(container))
    labels = json_files(container, Form.LABELS)
    for name in container.files:
        if name in known or is_hidden(name):
            continue
        if name in broken:
            yield Unread(f"table that cannot be read, {broken[name]}", (name,))
        elif name in tables:
            header = "" if tables[name].has_header else " without a header"
            yield Unread(f"table of images{header}", (name,))
        elif name in labels or _WEAK_NAMES.fullmatch(basename(name)):
            yield Unread("label file", (name,))


def _broken_tables(container: Container) -> Iterator[tuple[str, str]]:
    for name in table_files(container):
        try:
            read_text(container, name)
        except ValueError as error:
            yield name, f"{error}; save it as UTF-8"


def _beside(container: Container, read: frozenset[str]) -> Iterator[Unread]:
    """Yield the files that carry the name of an image, if most images have one."""
    num_images = len(find_images(container))
    for suffix in sorted(_BESIDE):
        if len(with_suffix(container, suffix)) < _MIN_SHARE * num_images:
            continue
        names = [name for name in _with_image_names(container, suffix) if name not in read]
        if names and len(names) >= _MIN_SHARE * num_images:
            yield Unread(f"{len(names):,} {suffix} files with the names of images", tuple(names))


def _naming(container: Container, known: Collection[str]) -> Iterator[Unread]:
    """Yield the texts with names of images and something else about them."""
    images = {composed(basename(name)) for name in find_images(container)}
    least = max(_MIN_NAMED, _MIN_SHARE_NAMED * len(images))
    for name in with_suffix(container, *_NAMING):
        if name in known or _NO_LABELS.search(basename(name)):
            continue
        try:
            text = read_text(container, name)
        except ValueError:
            continue
        named = images.intersection(map(composed, _NAME_IN_TEXT.findall(text)))
        if len(named) >= least and not _is_list(text):
            yield Unread(f"file that names {len(named):,} images", (name,))


def _is_list(text: str) -> bool:
    """Return whether a text has nothing but a path in each line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return all(has_image_suffix(line) and not _NUMBERED.match(line) for line in lines)


def _with_image_names(container: Container, suffix: str) -> list[str]:
    """Return the files with a suffix that are called like an image.

    For example `a.txt`, `a.jpg.txt` and `gt_a.txt` beside `a.jpg`.
    """
    images = find_images(container)
    count = Counter(composed(basename(name)) for name in images)
    count.update(splitext(composed(basename(name)))[0] for name in images)
    return [
        name
        for name in container.files
        if name.lower().endswith(suffix)
        and not is_hidden(name)
        and _BESIDE_NAME.sub("", composed(basename(name))[: -len(suffix)]) in count
    ]
