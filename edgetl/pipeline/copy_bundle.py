"""Copy the bundles of the chosen models to ``dist/<target>/``."""

from __future__ import annotations

import fcntl
import filecmp
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgetl.errors import UsageError
from edgetl.facts.package import BUNDLE_FOLDER
from edgetl.store.store import Artifact

_MARK = "manifest.json"


def copy_bundle(package: Artifact, destination: Path) -> bool:
    """Copy the bundle of `package` to `destination`, completely or not at all.

    An older bundle at `destination` is removed even if there is no new one: a stale model must not
    be mistaken for the result of this run.

    Returns:
        Whether `package` contains a bundle, that is, whether a candidate was chosen.

    Raises:
        UsageError: If `destination` contains files that are not from edgetl.
    """
    if destination.exists() and any(destination.iterdir()) and not (destination / _MARK).is_file():
        raise UsageError(
            f"'{destination}' contains files that are not a bundle; it is not replaced",
            remedy="move it away, or choose another folder with --dist",
        )
    source = package.folder / BUNDLE_FOLDER
    chosen = source.is_dir()
    if (chosen and _same(source, destination)) or not (chosen or destination.exists()):
        return chosen
    part, old = (destination.with_name(f".{destination.name}.{kind}") for kind in ("part", "old"))
    with _locked(destination.parent):
        for leftover in (part, old):  # from a run that was killed here
            shutil.rmtree(leftover, ignore_errors=True)
        if chosen:
            _copy(source, part)
        # Renamed before removal: half a bundle would look like foreign files.
        if destination.exists():
            destination.rename(old)
        if chosen:
            part.rename(destination)
        shutil.rmtree(old, ignore_errors=True)
    return chosen


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock `folder` against other processes that copy bundles; create it if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _copy(source: Path, destination: Path) -> None:
    # Not shutil.copytree, which collects errors and so hides a full disk.
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
