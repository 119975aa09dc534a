"""Put the chosen models where people take them from: ``dist/<target>/``."""

from __future__ import annotations

import filecmp
import os
import shutil
from pathlib import Path

from edgetl.errors import UsageError
from edgetl.store.store import Artifact

_BUNDLE_FOLDER = "bundle"
_MARK = "manifest.json"


def hand_over(package: Artifact, destination: Path) -> bool:
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
    if chosen and _same(source, destination):
        return True
    part = destination.with_name(f".{destination.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    if chosen:
        shutil.copytree(source, part)
    if destination.exists():
        shutil.rmtree(destination)
    if chosen:
        part.rename(destination)
    return chosen


def _same(left: Path, right: Path) -> bool:
    names = {path.relative_to(left) for path in left.rglob("*") if path.is_file()}
    others = {path.relative_to(right) for path in right.rglob("*") if path.is_file()}
    return names == others and all(
        filecmp.cmp(left / name, right / name, shallow=False) for name in names
    )
