"""Folders that are made once from the network and then kept: complete or absent, never changed.

Layout below the cache's root::

    <kind>-<key>/tree/           what was made
    <kind>-<key>/manifest.json   what was asked for, and what it was made of
    .<kind>-<key>.lock           held while it is made, released by the system at exit
    .<kind>-<key>.part/          what is being written; belongs to nobody after a crash

The key is a digest of what was asked for, so that a cache can be used without a network.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgetl.errors import DeviceError
from edgetl.hashing import digest_value
from edgetl.types import Facts

_KEY_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Kept:
    """A folder of the cache."""

    tree: Path
    facts: Facts
    """What it was made of."""

    @property
    def digest(self) -> str:
        """The digest of what it was made of."""
        return digest_value(self.facts)


@dataclass(frozen=True, slots=True)
class Cache:
    """Kept folders below `root`, safe against crashes and against a second process."""

    root: Path
    note: Callable[[str], None]
    """Told one line before something is fetched, or when another process is waited for."""

    def keep(
        self,
        kind: str,
        request: Facts,
        *,
        what: str,
        make: Callable[[Path], Facts],
        doing: str = "fetching",
    ) -> Kept:
        """Return the folder that `request` asks for; made first if it is not there.

        Args:
            kind: The first word of the folder's name.
            request: Everything that decides what is made.
            what: What it is, in words.
            make: Fills an empty folder and returns what it was made of.
            doing: What happens when it is made, in a word for the note.

        Raises:
            DeviceError: If it cannot be made, or written.
        """
        name = f"{kind}-{digest_value(request)[:_KEY_DIGITS]}"
        try:
            found = _read(self.root / name, request)
            if found is not None:
                return found
            with self._making(name, f"that is {doing} {what}"):
                found = _read(self.root / name, request)
                if found is None:
                    self.note(f"{doing} {what}; kept in {self.root}")
                    found = self._make(name, request, make)
        except OSError as error:
            raise DeviceError(
                f"{what} cannot be written to {self.root}: {error.strerror}",
                remedy="make room there, or let the owner of the folder run this",
            ) from error
        return found

    def _make(self, name: str, request: Facts, make: Callable[[Path], Facts]) -> Kept:
        part = self.root / f".{name}.part"
        shutil.rmtree(part, ignore_errors=True)  # of a process that was killed here
        (part / "tree").mkdir(parents=True)
        try:
            facts = make(part / "tree")
            text = json.dumps({"request": request, "made_of": facts}, indent=2) + "\n"
            (part / "manifest.json").write_text(text, encoding="utf-8")
            os.sync()
            part.rename(self.root / name)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return Kept(self.root / name / "tree", facts)

    @contextmanager
    def _making(self, name: str, doing: str) -> Iterator[None]:
        self.root.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.root / f".{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.note(f"waiting for another process {doing}")
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _read(folder: Path, request: Facts) -> Kept | None:
    """Return the kept folder, None if it was never made.

    Raises:
        DeviceError: If its manifest is not the one of `request`.
    """
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        kept = Kept(folder / "tree", manifest["made_of"])
        if manifest["request"] == request and kept.tree.is_dir():
            return kept
        reason = "it belongs to another request"
    except FileNotFoundError:
        if not folder.exists():
            return None
        reason = "manifest.json is missing"
    except (ValueError, KeyError, TypeError) as error:
        reason = f"manifest.json cannot be read: {error!r}"
    raise DeviceError(f"the cache folder {folder} is damaged: {reason}", remedy=f"rm -r {folder}")
