"""Where files lie: a folder, or a zip that is read as it is and never unpacked."""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from fnmatch import translate
from pathlib import Path
from typing import Protocol

from edgetl.errors import DataError
from edgetl.hashing import digest_value
from edgetl.runtime.errors import ImageError

MAX_FILE_BYTES = 1 << 28
"""Largest single file that is read, 256 MiB; more is a packing trick or no image."""

_ENCRYPTED = 0x1


class Container(Protocol):
    """Files by POSIX path, and how to read them; may be read by several threads at once."""

    files: tuple[str, ...]
    """Sorted."""
    folders: tuple[str, ...]
    """Sorted, with those that hold nothing; without the root."""
    excluded: tuple[str, ...]
    """Files that are there but not listed; sorted."""

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            ImageError: If it cannot be read, or is larger than `MAX_FILE_BYTES`.
        """

    def digest(self, names: tuple[str, ...], digest_file: Callable[[Path], str]) -> str:
        """Return what changes whenever the content of one of `names` does."""

    def close(self) -> None:
        """Give the open files back."""


def open_container(path: Path, *, exclude: tuple[str, ...] = (), table: str = "data") -> Container:
    """Open a folder or a zip and list what it holds.

    Args:
        path: The folder or zip.
        exclude: Glob patterns of files not to list; a star also matches slashes. A folder that
            loses its last file this way is not listed either.
        table: The table of the recipe that names it, for messages.

    Raises:
        DataError: If there is no such path, it is neither a folder nor a sound zip, or a pattern
            matches no file.
    """
    if path.is_dir():
        return FolderContainer(path, exclude)
    if path.is_file() and zipfile.is_zipfile(path):
        return ZipContainer(path, exclude)
    what = "is neither a folder nor a zip" if path.exists() else "does not exist"
    raise DataError(
        f"{table} path '{path}' {what}",
        remedy=f"set `{table}: {{path: ...}}` in the recipe; it starts at the recipe's folder",
    )


class FolderContainer:
    """The files below a folder; links are followed, but never back to a folder above."""

    def __init__(self, path: Path, exclude: tuple[str, ...]) -> None:
        self._root = os.fspath(path)
        files: list[str] = []
        folders: set[str] = set()
        for name, is_folder in _walk(self._root, "", frozenset()):
            folders.add(name) if is_folder else files.append(name)
        self.files, self.folders, self.excluded = _exclude(files, folders, exclude)

    def read(self, name: str) -> bytes:
        """Return the content of a file; errors as `Container.read`."""
        path = Path(self._root, name)
        try:
            size_bytes = path.stat().st_size
            _check_size(name, size_bytes)
            return path.read_bytes()
        except OSError as error:
            raise _unreadable(name, error.strerror or str(error)) from error

    def digest(self, names: tuple[str, ...], digest_file: Callable[[Path], str]) -> str:
        """Return the digest of names and contents; None stands for what cannot be read."""
        root = Path(self._root)
        found: list[tuple[str, str | None]] = []
        for name in names:
            try:
                found.append((name, digest_file(root / name)))
            except OSError:  # reported with all other problems when the images are read
                found.append((name, None))
        return digest_value(found)

    def close(self) -> None:
        """Do nothing: files are opened one by one."""


class ZipContainer:
    """The files of a zip, decompressed in memory one at a time."""

    def __init__(self, path: Path, exclude: tuple[str, ...]) -> None:
        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise DataError(
                f"'{path}' is a damaged zip: {error}", remedy="copy or download it again"
            ) from error
        self._entries: dict[str, zipfile.ZipInfo] = {}
        folders: set[str] = set()
        for entry in self._zip.infolist():
            _check_entry(path, entry)
            name = entry.filename.rstrip("/")
            folders.update(_parents(name))
            if entry.is_dir():
                folders.add(name)
            elif name in self._entries:
                raise DataError(
                    f"'{path}' holds two files named '{name}'", remedy="pack the zip anew"
                )
            else:
                self._entries[name] = entry
        self.files, self.folders, self.excluded = _exclude(list(self._entries), folders, exclude)

    def read(self, name: str) -> bytes:
        """Return the content of a file; errors as `Container.read`."""
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
    """Yield (POSIX path, is a folder) of everything below `root`."""
    state = os.stat(root)  # noqa: PTH116 - many thousand paths, as plain strings
    here = (state.st_dev, state.st_ino)
    if here in above:
        return
    try:
        entries = list(os.scandir(root))
    except OSError as error:
        raise DataError(
            f"cannot list '{root}': {error.strerror}", remedy="mend the rights of the folder"
        ) from error
    for entry in entries:
        name = prefix + entry.name
        if entry.is_dir():
            yield name, True
            yield from _walk(entry.path, f"{name}/", above | {here})
        else:
            yield name, False


def _exclude(
    files: list[str], folders: set[str], patterns: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return files and folders without those that a pattern matches, and these files; sorted."""
    excluded: set[str] = set()
    for pattern in patterns:
        matches = re.compile(translate(pattern)).match
        found = {name for name in files if matches(name)}
        if not found:
            raise DataError(
                f"`data.exclude` pattern '{pattern}' matches no file",
                remedy="patterns are relative to `data.path`, for example 'train/ants/0013.jpg'",
            )
        excluded |= found
    kept = sorted(set(files) - excluded)
    emptied = {parent for name in excluded for parent in _parents(name)}
    emptied -= {parent for name in kept for parent in _parents(name)}
    return tuple(kept), tuple(sorted(folders - emptied)), tuple(sorted(excluded))


def _parents(name: str) -> Iterator[str]:
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name


def _check_entry(path: Path, entry: zipfile.ZipInfo) -> None:
    """Refuse names that point outside, and locked entries."""
    parts = entry.filename.rstrip("/").split("/")
    if ".." in parts or "" in parts or "\\" in entry.filename or ":" in parts[0]:
        raise DataError(
            f"'{path}' holds a file with the path '{entry.filename}', which leads outside",
            remedy="pack the zip anew with plain relative paths",
        )
    if entry.flag_bits & _ENCRYPTED:
        raise DataError(
            f"'{path}' is locked with a password ('{entry.filename}')",
            remedy="unpack it and set `data: {path: ...}` to the folder",
        )


def _check_size(name: str, size_bytes: int) -> None:
    if size_bytes > MAX_FILE_BYTES:
        raise _unreadable(
            name, f"{size_bytes:,} bytes are more than the {MAX_FILE_BYTES:,} that are read"
        )


def _unreadable(name: str, reason: str) -> ImageError:
    return ImageError(f"cannot read image '{name}': {reason}", remedy="mend it or leave it out")
