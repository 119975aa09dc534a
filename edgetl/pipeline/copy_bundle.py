"""Put the chosen models where people take them from: ``dist/<target>/``."""

from __future__ import annotations

import fcntl
import filecmp
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgetl.errors import UsageError
from edgetl.store.store import Artifact

_BUNDLE_FOLDER = "bundle"
_MARK = "manifest.json"


def copy_bundle(package: Artifact, destination: Path) -> bool:
    """Copy the bundle of `package` to `destination`, whole or not at all.

    A bundle of an earlier run at `destination` goes, also when there is no new one: a stale model
    must not be mistaken for the result of this run.

    Returns:
        Whether `package` holds a bundle, that is, whether a candidate was chosen.

    Raises:
        UsageError: If `destination` holds something that edgetl did not put there.
    """
    if destination.exists() and any(destination.iterdir()) and not (destination / _MARK).is_file():
        raise UsageError(
            f"'{destination}' holds files that are no bundle, so it is not replaced",
            remedy="move it away, or give another folder with --dist",
        )
    source = package.folder / _BUNDLE_FOLDER
    chosen = source.is_dir()
    if (chosen and _same(source, destination)) or not (chosen or destination.exists()):
        return chosen
    part, old = (destination.with_name(f".{destination.name}.{kind}") for kind in ("part", "old"))
    with _alone_in(destination.parent):
        for left in (part, old):  # by a run that was killed here
            shutil.rmtree(left, ignore_errors=True)
        if chosen:
            _copy(source, part)
        # Renamed before it is removed: half a bundle would look like somebody else's files.
        if destination.exists():
            destination.rename(old)
        if chosen:
            part.rename(destination)
        shutil.rmtree(old, ignore_errors=True)
    return chosen


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold `folder` against a second process that hands over; made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _copy(source: Path, destination: Path) -> None:
    # Not shutil.copytree: it collects errors and so hides that the disk is full.
    try:
        for path in sorted(source.rglob("*")):
            if path.is_file():
                place = destination / path.relative_to(source)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, place)
    except OSError:
        shutil.rmtree(destination, ignore_errors=True)
        raise


def _same(left: Path, right: Path) -> bool:
    names = {path.relative_to(left) for path in left.rglob("*") if path.is_file()}
    others = {path.relative_to(right) for path in right.rglob("*") if path.is_file()}
    return names == others and all(
        filecmp.cmp(left / name, right / name, shallow=False) for name in names
    )
