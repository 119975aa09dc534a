"""The files of a model: names, sizes and digests, as the contract states them."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgetl.runtime.bundle import digest_file
from edgetl.runtime.errors import CHECK_ACCESS, COPY_AGAIN, BundleError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True)
class ModelFile:
    """One file of a model, in the contract's folder."""

    name: str
    size_bytes: int | None
    """None in contracts of schema 1, which do not state it."""
    sha256: str | None
    """64 hex digits; None in contracts of schema 1."""


def describe_files(folder: Path, names: Iterable[str]) -> tuple[ModelFile, ...]:
    """Return the files `names` of `folder` with their sizes and digests, in this order."""
    return tuple(
        ModelFile(name, (folder / name).stat().st_size, digest_file(folder / name))
        for name in names
    )


def check_sizes(folder: Path, files: Iterable[ModelFile]) -> None:
    """Check that the files can be read and have the stated size: some engines crash on others.

    Raises:
        BundleError: If a file is missing, not readable or of another size.
    """
    for file in files:
        path = folder / file.name
        if not path.is_file():
            raise BundleError(f"{path} is missing", remedy=COPY_AGAIN)
        if not os.access(path, os.R_OK):
            # Engines do not tell it from a damaged file.
            raise BundleError(
                f"{path} cannot be read: {os.strerror(errno.EACCES)}", remedy=CHECK_ACCESS
            )
        size_bytes = path.stat().st_size
        if file.size_bytes not in (None, size_bytes):
            raise BundleError(
                f"{path} has {size_bytes} bytes, but contract.json states {file.size_bytes}",
                remedy=COPY_AGAIN,
            )


def check_digests(folder: Path, files: Iterable[ModelFile]) -> None:
    """Check that the content of the files is the stated one; takes time, they are read to the end.

    Raises:
        BundleError: If a file has changed.
    """
    for file in files:
        path = folder / file.name
        if file.sha256 not in (None, digest_file(path)):
            raise BundleError(
                f"{path} is damaged: its SHA-256 is not the one that contract.json states",
                remedy=COPY_AGAIN,
            )
