"""Digests of values, files and folders, which identify artifacts."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgetl.types import Fact

_CHUNK_BYTES = 1 << 20


def digest_value(value: Fact) -> str:
    """Return the SHA-256 of `value` as canonical JSON, 64 hex digits.

    Canonical: keys sorted, no spaces, ASCII, floats by shortest round-trip form.

    Raises:
        ValueError: If a float is not finite, because NaN is not equal to itself.
        TypeError: If `value` is not made of JSON types.
    """
    return hashlib.sha256(canonical_json(value).encode("ascii")).hexdigest()


def canonical_json(value: Fact) -> str:
    """Return the one JSON text that equal values share; raises like `digest_value`."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest_file(path: Path) -> str:
    """Return the SHA-256 of the bytes of `path`, read in pieces of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_CHUNK_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def digest_folder(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below `folder`, by POSIX path relative to it, sorted."""
    files = sorted(
        (path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file()
    )
    return {name: digest_file(path) for name, path in files}
