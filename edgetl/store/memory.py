"""Digests of files, remembered by path, size and times, so that unchanged files are read once."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path

from edgetl.hashing import digest_file

_Identity = tuple[int, int, int, int]

_SETTLED_NS = 1_000_000_000
"""A file changed less than a second ago may change again within one tick of its clock."""


class DigestMemory:
    """SHA-256 of files; reads a file again only when its identity changed.

    The identity is size, time of change, time of inode change and inode number. The inode time
    cannot be set by a program, so a file that is edited and given its old date back is noticed.
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
            # Nothing remembered, or a file that no longer makes sense: everything is read again.
            self._known = {}

    def digest(self, path: Path) -> str:
        """Return the SHA-256 of the content of `path`.

        Raises:
            OSError: If the file cannot be read.
        """
        # normpath keeps the name stable without the cost of resolving links for every file.
        name = os.path.normpath(Path.cwd() / path)
        stat = path.stat()
        identity = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
        known = self._known.get(name)
        if known is not None and known[0] == identity:
            return known[1]
        found = digest_file(path)
        if time.time_ns() - max(stat.st_mtime_ns, stat.st_ctime_ns) > _SETTLED_NS:
            self._known[name] = (identity, found)
            self._changed = True
        return found

    def save(self) -> None:
        """Write what was learned; a process that does the same at once may win, nothing breaks.

        A memory that cannot be written, on a full disk for example, only costs reading files again.
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
