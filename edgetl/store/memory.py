"""Cache file digests by path, size and times, so that unchanged files are read only once."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path

from edgetl.hashing import digest_file

_Identity = tuple[int, int, int, int]

_SETTLED_NS = 1_000_000_000
"""A file modified less than this ago may change again without a new timestamp."""


class DigestMemory:
    """SHA-256 digests of files; reads a file again only if its identity has changed.

    The identity is size, modification time, inode change time and inode number. Programs cannot set
    the inode change time, so an edit is detected even if the modification time is restored.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, tuple[_Identity, str]] = {}
        self._changed = False
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
            for path, size, changed, inode_changed, inode, digest in stored:
                self._known[path] = ((size, changed, inode_changed, inode), digest)
        except (FileNotFoundError, ValueError, TypeError):
            # No cache, or a damaged one: every file is read again.
            self._known = {}

    def digest(self, path: Path) -> str:
        """Return the SHA-256 of the content of `path`.

        Raises:
            OSError: If the file cannot be read.
        """
        # normpath gives a stable name without the cost of resolving links for every file.
        name = os.path.normpath(Path.cwd() / path)
        stat = path.stat()
        identity = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
        known = self._known.get(name)
        if known is not None and known[0] == identity:
            return known[1]
        digest = digest_file(path)
        if time.time_ns() - max(stat.st_mtime_ns, stat.st_ctime_ns) > _SETTLED_NS:
            self._known[name] = (identity, digest)
            self._changed = True
        return digest

    def save(self) -> None:
        """Write the cache; if several processes write at once, one of them wins.

        If it cannot be written, for example on a full disk, files are just read again next time.
        """
        if not self._changed:
            return
        rows = [[path, *identity, digest] for path, (identity, digest) in self._known.items()]
        part = self._file.with_suffix(f".{os.getpid()}.part")
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(rows), encoding="utf-8")
            part.replace(self._file)
            self._changed = False
