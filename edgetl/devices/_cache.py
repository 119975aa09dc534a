"""Cache of folders that are made once and never changed; each is complete or absent.

Layout below the cache's root::

    <kind>-<key>/tree/           content
    <kind>-<key>/manifest.json   the request, and the sources that the content was made from
    .<kind>-<key>.lock           held while the folder is made, released by the system at exit
    .<kind>-<key>.part/          unfinished content; left behind by a crash

The key is a digest of the request, so that a filled cache needs no network.
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
    """A folder in the cache."""

    tree: Path
    facts: Facts
    """Description of the sources that it was made from."""

    @property
    def digest(self) -> str:
        """Digest of `facts`."""
        return digest_value(self.facts)


@dataclass(frozen=True, slots=True)
class Cache:
    """Cached folders below `root`, safe against crashes and concurrent processes."""

    root: Path
    note: Callable[[str], None]
    """Receives one line before a folder is made, or when waiting for another process."""

    def keep(
        self,
        kind: str,
        request: Facts,
        *,
        what: str,
        make: Callable[[Path], Facts],
        doing: str = "fetching",
    ) -> Kept:
        """Return the folder for `request`, making it first if it does not exist.

        Args:
            kind: Prefix of the folder's name.
            request: Everything that determines the content.
            what: Description of the content, for messages.
            make: Fills an empty folder and returns a description of its sources.
            doing: Verb for the note when the folder is made.

        Raises:
            DeviceError: If the folder cannot be made or written.
        """
        name = f"{kind}-{digest_value(request)[:_KEY_DIGITS]}"
        try:
            kept = _read(self.root / name, request)
            if kept is not None:
                return kept
            with self._making(name, f"that is {doing} {what}"):
                kept = _read(self.root / name, request)
                if kept is None:
                    self.note(f"{doing} {what}; kept in {self.root}")
                    kept = self._make(name, request, make)
        except OSError as error:
            raise DeviceError(
                f"{what} cannot be written to {self.root}: {error.strerror}",
                remedy="free some space there, or run this as the owner of the folder",
            ) from error
        return kept

    def _make(self, name: str, request: Facts, make: Callable[[Path], Facts]) -> Kept:
        part = self.root / f".{name}.part"
        shutil.rmtree(part, ignore_errors=True)  # left by a killed process
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
    """Return the cached folder; None if it does not exist.

    Raises:
        DeviceError: If its manifest is damaged or belongs to a different request.
    """
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        kept = Kept(folder / "tree", manifest["made_of"])
        if manifest["request"] == request and kept.tree.is_dir():
            return kept
        reason = "it belongs to a different request"
    except FileNotFoundError:
        if not folder.exists():
            return None
        reason = "manifest.json is missing"
    except (ValueError, KeyError, TypeError) as error:
        reason = f"manifest.json cannot be read: {error!r}"
    raise DeviceError(f"the cache folder {folder} is damaged: {reason}", remedy=f"rm -r {folder}")
