"""Read files from a folder, or from a zip without unpacking it."""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from fnmatch import translate
from pathlib import Path
from typing import Protocol

from edgetl.data.hidden_files import is_system_name
from edgetl.errors import DataError
from edgetl.hashing import digest_value
from edgetl.runtime.errors import ImageError

FIX_OR_EXCLUDE = "fix or exclude it"
"""The remedy for a file that cannot be read."""
MAX_FILE_BYTES = 1 << 28
"""Largest file that is read, 256 MiB; larger ones are zip bombs or not images."""

_ZIP = b"PK\3\4"
_OTHER_ARCHIVES = (
    *((0, b"\x1f\x8b"), (0, b"BZh"), (0, b"\xfd7zXZ"), (0, b"7z\xbc\xaf"), (0, b"Rar!")),
    *((0, b"\x28\xb5\x2f\xfd"), (257, b"ustar")),
)
"""Marks of gzip, bzip2, xz, 7-Zip, RAR, Zstandard and tar, and where they are."""
_HEAD_BYTES = 512
_METHODS = frozenset(
    {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
)
_ENCRYPTED = 0x1
_UTF8 = 0x800
_ZIP_ENCODING = "cp437"
_CHINESE, _COMMON_CHINESE = "gbk", "gb2312"
_SYSTEM_ENCODINGS = ("utf-8", _CHINESE)
_MOST = 0.5


class Container(Protocol):
    """Files by POSIX path; safe to read from several threads."""

    @property
    def files(self) -> tuple[str, ...]:
        """Sorted."""

    @property
    def folders(self) -> tuple[str, ...]:
        """Sorted, including empty ones, without the root."""

    @property
    def excluded(self) -> tuple[str, ...]:
        """Existing files that are not listed; sorted."""

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            ImageError: If it cannot be read or is larger than `MAX_FILE_BYTES`.
        """

    def digest(self, names: tuple[str, ...], digest_file: Callable[[Path], str]) -> str:
        """Return a digest that changes whenever the content of one of `names` changes."""

    def close(self) -> None:
        """Close open files."""


def open_container(path: Path, *, exclude: tuple[str, ...] = (), table: str = "data") -> Container:
    """Open a folder or a zip and list its files.

    Args:
        path: The folder or zip.
        exclude: Glob patterns of files to ignore; a star also matches slashes. A folder that
            loses its last file this way is ignored as well.
        table: The table of the recipe that names the path, for messages.

    Raises:
        DataError: If the path does not exist, is neither a folder nor a valid zip, or a pattern
            matches no file.
    """
    if path.is_dir():
        return FolderContainer(path, exclude, table)
    if path.is_file() and zipfile.is_zipfile(path):
        return ZipContainer(path, exclude, table)
    what, remedy = what_else(path)
    if not remedy:
        remedy = f"set `{table}: {{path: ...}}` in the recipe, relative to the recipe's folder"
    raise DataError(f"{table} path '{path}' {what}", remedy=remedy)


def what_else(path: Path) -> tuple[str, str]:
    """Return what a path is that is neither a folder nor a zip, and the remedy; empty if unclear.

    The end of the sentence that begins with the path.
    """
    if not path.exists():
        return "does not exist", ""
    head = b""
    if path.is_file():
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    if head.startswith(_ZIP):
        return "begins like a zip, but its end is missing", "copy or download it again"
    if any(head[start:].startswith(mark) for start, mark in _OTHER_ARCHIVES):
        return "is an archive, but no zip", "unpack it, and name the folder in its place"
    return "is neither a folder nor a zip", ""


class FolderContainer:
    """The files below a folder; follows links, except to a parent folder."""

    def __init__(self, path: Path, exclude: tuple[str, ...], table: str) -> None:
        self._root = os.fspath(path)
        files: list[str] = []
        folders: set[str] = set()
        for name, is_folder in _walk(self._root, "", frozenset()):
            folders.add(name) if is_folder else files.append(name)
        self.files, self.folders, self.excluded = _exclude(files, folders, exclude, table)

    def read(self, name: str) -> bytes:
        """Return the content of a file; raises like `Container.read`."""
        path = Path(self._root, name)
        try:
            size_bytes = path.stat().st_size
            _check_size(name, size_bytes)
            return path.read_bytes()
        except OSError as error:
            raise _unreadable(name, error.strerror or str(error)) from error

    def digest(self, names: tuple[str, ...], digest_file: Callable[[Path], str]) -> str:
        """Return the digest of names and contents; unreadable files count as None."""
        root = Path(self._root)
        digests: list[tuple[str, str | None]] = []
        for name in names:
            try:
                digests.append((name, digest_file(root / name)))
            except OSError:  # reported with all other problems when the images are read
                digests.append((name, None))
        return digest_value(digests)

    def close(self) -> None:
        """Do nothing: files are closed after reading."""


class ZipContainer:
    """The files of a zip, decompressed in memory one at a time."""

    def __init__(self, path: Path, exclude: tuple[str, ...], table: str) -> None:
        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise DataError(
                f"'{path}' is a damaged zip: {error}", remedy="copy or download it again"
            ) from error
        self._entries: dict[str, zipfile.ZipInfo] = {}
        folders: set[str] = set()
        decode = _name_decoder(self._zip.infolist())
        for entry in self._zip.infolist():
            _check_entry(path, entry, table)
            stated = _plain_path(decode(entry))
            name = stated.rstrip("/")
            if not name:
                continue  # the root itself
            folders.update(_parents(name))
            if stated.endswith("/"):
                folders.add(name)
            elif name in self._entries:
                raise DataError(
                    f"'{path}' contains two files named '{name}'", remedy="create the zip again"
                )
            else:
                self._entries[name] = entry
        self.files, self.folders, self.excluded = _exclude(
            list(self._entries), folders, exclude, table
        )

    def read(self, name: str) -> bytes:
        """Return the content of a file; raises like `Container.read`."""
        entry = self._entries[name]
        _check_size(name, entry.file_size)
        try:
            return self._zip.read(entry)
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, OSError, EOFError) as error:
            raise _unreadable(name, f"damaged in the zip ({error})") from error

    def digest(self, names: tuple[str, ...], digest_file: Callable[[Path], str]) -> str:
        """Return the digest of names and of the whole zip."""
        return digest_value([digest_file(self._path), list(names)])

    def close(self) -> None:
        """Close the zip."""
        self._zip.close()


def _walk(root: str, prefix: str, above: frozenset[tuple[int, int]]) -> Iterator[tuple[str, bool]]:
    """Yield (POSIX path, whether it is a folder) for everything below `root`."""
    state = os.stat(root)  # noqa: PTH116 - many thousand paths, as plain strings
    here = (state.st_dev, state.st_ino)
    if here in above:
        return
    try:
        entries = list(os.scandir(root))
    except OSError as error:
        if is_system_name(os.path.basename(root)):  # noqa: PTH119 - as above
            return  # closed to users on many drives, and without examples
        raise DataError(
            f"cannot list '{root}': {error.strerror}", remedy="fix the permissions of the folder"
        ) from error
    for entry in entries:
        name = prefix + entry.name
        if entry.is_dir():
            yield name, True
            yield from _walk(entry.path, f"{name}/", above | {here})
        else:
            yield name, False


def _exclude(
    files: list[str], folders: set[str], patterns: tuple[str, ...], table: str
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the remaining files and folders, and the excluded files; all sorted."""
    excluded: set[str] = set()
    for pattern in patterns:
        matches = re.compile(translate(pattern)).match
        matching = {name for name in files if matches(name)}
        if not matching:
            raise DataError(
                f"`{table}.exclude` pattern '{pattern}' matches no file",
                remedy=f"patterns are relative to `{table}.path`, for example "
                "'train/ants/0013.jpg'",
            )
        excluded |= matching
    kept = sorted(set(files) - excluded)
    emptied = {parent for name in excluded for parent in _parents(name)}
    emptied -= {parent for name in kept for parent in _parents(name)}
    return tuple(kept), tuple(sorted(folders - emptied)), tuple(sorted(excluded))


def _parents(name: str) -> Iterator[str]:
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name


def _check_entry(path: Path, entry: zipfile.ZipInfo, table: str) -> None:
    """Refuse paths outside of the zip, and entries that cannot be read."""
    unpacked = f"unpack it and set `{table}: {{path: ...}}` to the folder"
    parts = entry.filename.replace("\\", "/").rstrip("/").split("/")
    if ".." in parts or "" in parts or ":" in parts[0]:
        raise DataError(
            f"'{path}' contains a file with the path '{entry.filename}', which leads outside",
            remedy=f"create the zip again with plain relative paths, or {unpacked}",
        )
    if entry.compress_type not in _METHODS:
        raise DataError(
            f"'{path}' is compressed by method {entry.compress_type}, which is not supported "
            f"('{entry.filename}')",
            remedy=f"{unpacked}, or create the zip again with the method Deflate",
        )
    if entry.flag_bits & _ENCRYPTED:
        raise DataError(
            f"'{path}' is protected with a password ('{entry.filename}')",
            remedy=unpacked,
        )


def _plain_path(name: str) -> str:
    """Return a path without ``./``, with slashes for the backslashes of some Windows tools."""
    slashed = name.replace("\\", "/")
    parts = [part for part in slashed.split("/") if part not in {"", "."}]
    return "/".join(parts) + "/" * (slashed.endswith("/") and bool(parts))


def _name_decoder(entries: Sequence[zipfile.ZipInfo]) -> Callable[[zipfile.ZipInfo], str]:
    """Return what decodes the names in a zip.

    Names that are not marked as UTF-8 are CP437 by the format, and so `zipfile` reads them. Packing
    tools write them in the encoding of their system all the same: UTF-8, or GBK in China. One that
    decodes all names of a zip is taken; GBK only if its characters are common ones, as almost any
    bytes are some of its rare ones.
    """
    unmarked = [
        entry.filename.encode(_ZIP_ENCODING)
        for entry in entries
        if not entry.flag_bits & _UTF8 and not entry.filename.isascii()
    ]
    encoding = _ZIP_ENCODING
    if unmarked:
        encoding = next(filter(lambda name: _decodes(name, unmarked), _SYSTEM_ENCODINGS), encoding)

    def decode(entry: zipfile.ZipInfo) -> str:
        if entry.flag_bits & _UTF8:
            return entry.filename
        return entry.filename.encode(_ZIP_ENCODING).decode(encoding)

    return decode


def _decodes(encoding: str, names: Sequence[bytes]) -> bool:
    try:
        text = "".join(name.decode(encoding) for name in names)
    except UnicodeDecodeError:
        return False
    if encoding != _CHINESE:
        return True
    beyond = [character for character in text if not character.isascii()]
    common = sum(len(character.encode(_COMMON_CHINESE, "ignore")) > 0 for character in beyond)
    return common >= _MOST * len(beyond)


def _check_size(name: str, size_bytes: int) -> None:
    if size_bytes > MAX_FILE_BYTES:
        raise _unreadable(name, f"{size_bytes:,} bytes exceed the limit of {MAX_FILE_BYTES:,}")


def _unreadable(name: str, reason: str) -> ImageError:
    return ImageError(f"cannot read image '{name}': {reason}", remedy=FIX_OR_EXCLUDE)
