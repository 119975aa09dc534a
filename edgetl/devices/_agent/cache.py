"""Cache of the files that were sent to a device, by their SHA-256."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE_BYTES = 1 << 20


class Cache:
    """Keeps files up to a total size; the least recently used are removed first."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder = folder
        self._files = folder / "files"
        self._limit_bytes = limit_bytes
        self._used: set[str] = set()
        self._files.mkdir(mode=0o700, parents=True, exist_ok=True)

    def copy(self, digest: str, target: Path) -> bool:
        """Copy a file to `target`; return False if it is missing or damaged.

        Copied, not linked, because a program may write to its files.
        """
        path = self._files / digest
        actual = hashlib.sha256()
        try:
            with path.open("rb") as source:
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as copy:
                    for piece in _pieces(source):
                        actual.update(piece)
                        copy.write(piece)
        except FileNotFoundError:
            return False
        if actual.hexdigest() != digest:
            path.unlink()
            target.unlink()
            return False
        os.utime(path)
        self._used.add(digest)
        return True

    def receive(self, digest: str, size: int, *, resumable: bool) -> Part:
        """Start or resume receiving a file of `size` bytes.

        Args:
            digest: SHA-256 of the whole file.
            size: Size of the whole file, bytes.
            resumable: Whether a later session may resume it; requires exclusive use of the board.

        Raises:
            OSError: If the disk has no room for the file and a copy of it.
        """
        name = f"{digest}.part" if resumable else f"{digest}.{os.getpid()}.part"
        self._used.add(digest)
        part = Part(self._files / name, self._files / digest, size)
        try:
            self._make_room(size - part.offset, size)
        except OSError:
            part.close(keep=False)
            raise
        return part

    def _make_room(self, more_bytes: int, copy_bytes: int) -> None:
        """Remove the least recently used files until `more_bytes` are allowed and both fit."""
        kept = []
        for path in self._files.iterdir():
            with contextlib.suppress(FileNotFoundError):
                kept.append((path.stat().st_mtime_ns, path.stat().st_size, path))
        total = sum(size for _, size, _ in kept)
        free = shutil.disk_usage(self.folder).free
        for _, size, path in sorted(kept):
            if total + more_bytes <= self._limit_bytes and free >= more_bytes + copy_bytes:
                return
            if path.name.partition(".")[0] not in self._used:
                path.unlink()
                total -= size
                free += size
        if free < more_bytes + copy_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.folder))


class Part:
    """A partially received file."""

    def __init__(self, path: Path, target: Path, size: int) -> None:
        self._path = path
        self._target = target
        self._size = size
        self._hash = hashlib.sha256()
        self._file: IO[bytes] = path.open("a+b")
        if self._file.tell() > size:
            self._file.truncate(0)
        self.offset = self._file.seek(0, os.SEEK_END)
        """Number of bytes received so far."""
        self._file.seek(0)
        for piece in _pieces(self._file):
            self._hash.update(piece)

    def append(self, piece: bytes) -> None:
        """Write the next bytes.

        Raises:
            OSError: If they cannot be written; the file is then removed, so that it does not keep
                filling the disk.
        """
        try:
            self._file.write(piece)
            self._file.flush()
        except OSError:
            self.close(keep=False)
            raise
        self._hash.update(piece)
        self.offset += len(piece)

    def is_whole(self) -> bool:
        """Return whether all announced bytes were received."""
        return self.offset >= self._size

    def finish(self) -> bool:
        """Move the file into the cache; if its digest is wrong, remove it and return False."""
        intact = self._hash.hexdigest() == self._target.name
        if intact:
            os.fsync(self._file.fileno())  # a power failure must not leave an empty file
            self._path.replace(self._target)
        self.close(keep=intact)
        return intact

    def close(self, *, keep: bool) -> None:
        """Close the file, and remove it unless it is to `keep`."""
        with contextlib.suppress(OSError):  # flushing fails again if the disk is full
            self._file.close()
        if not keep:
            self._path.unlink(missing_ok=True)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    piece = file.read(_PIECE_BYTES)
    while piece:
        yield piece
        piece = file.read(_PIECE_BYTES)
