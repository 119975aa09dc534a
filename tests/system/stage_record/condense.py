"""Values and arrays as they stand in the record: exact where they are integers, else by figures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from edgetl.hashing import digest_value
from edgetl.types import Fact

FLOATS = "floats"
"""Key of the list that stands for floats: its first entry is their root mean square, which the
others are compared by."""

SOURCE = "source of edgetl"
"""The name of what tables of files leave out: which sources travel in bundles is in their key."""
ROUNDING = "rounding"
"""Stands for differences between outputs that only rounding makes."""

_ROUNDING_ERROR = 1e-3
"""Largest error, of outputs between 0 and some ten, that only rounding makes."""
_ROUNDING_SNR_DB = 80.0
_DIGITS = 6
_DIGEST_DIGITS = 16
_LONG = 8
"""Longer lists are condensed."""
_PROJECTIONS = 3
_WORD_BITS = 64


def digest(value: Fact) -> str:
    """Return the beginning of the digest of a JSON value."""
    return digest_value(value)[:_DIGEST_DIGITS]


def rounded(value: float) -> float:
    """Return `value` with as many digits as the record has."""
    return float(f"{value:.{_DIGITS}g}")


def figures(values: NDArray[np.generic]) -> list[float]:
    """Return root mean square, mean, and projections on random directions; none if it is empty.

    A projection changes by about the size of a change of the values, wherever that is. All are
    scaled to the size of one value.
    """
    flat = values.astype(np.float64).ravel()
    if not len(flat):
        return []
    row = [float(np.sqrt(np.square(flat).mean())), float(flat.mean())]
    for seed in range(_PROJECTIONS):
        # Raw words are the same in every version of numpy.
        words = np.random.PCG64(seed).random_raw(len(flat))
        direction = words / 2.0 ** (_WORD_BITS - 1) - 1.0
        row.append(float(direction @ flat) / math.sqrt(len(flat)))
    return [rounded(figure) for figure in row]


def array(values: NDArray[np.generic], *, exact: bool | None = None) -> dict[str, Fact]:
    """Return type, shape and content of an array.

    Args:
        values: Any shape.
        exact: Whether every bit is the same on all machines; left out, that of integers is.
    """
    kind = f"{values.dtype} {'x'.join(map(str, values.shape))}"
    if values.dtype.kind != "f" if exact is None else exact:
        content = np.ascontiguousarray(values).tobytes().hex()
        return {"array": kind, "digest": digest(content)}
    return {"array": kind, FLOATS: figures(values)}


def grouped(arrays: Iterable[tuple[str, NDArray[np.generic]]]) -> dict[str, Fact]:
    """Return the content of many arrays, those of one group as one array."""
    groups: dict[str, list[NDArray[np.generic]]] = {}
    for group, values in arrays:
        groups.setdefault(group, []).append(values.ravel())
    return {
        # Integers of 64 bits are shapes and places; those of fewer bits are rounded weights.
        group: array(np.concatenate(parts), exact=parts[0].dtype == np.int64)
        for group, parts in sorted(groups.items())
    }


def condensed(value: Fact, names: Mapping[str, str]) -> Fact:
    """Return a JSON value with digests as `names` has them, and with long lists as digests."""
    match value:
        case str():
            return names.get(value, value)
        case float():
            return rounded(value)
        case dict():
            return {
                names.get(key, key): ROUNDING if _rounds(key, each) else condensed(each, names)
                for key, each in value.items()
                if not isinstance(each, str) or names.get(each) != SOURCE
            }
        case list() if len(value) <= _LONG:
            return [condensed(each, names) for each in value]
        case list():
            leaves = list(_leaves(value, names))
            floats = [leaf for leaf in leaves if isinstance(leaf, float)]
            others = [None if isinstance(leaf, float) else leaf for leaf in leaves]
            row: dict[str, Fact] = {"count": len(value), "digest": digest(others)}
            return {**row, FLOATS: figures(np.array(floats))} if floats else row
        case _:
            return value


def _rounds(key: str, value: Fact) -> bool:
    if not isinstance(value, float):
        return False
    if key == "snr_db":
        return value > _ROUNDING_SNR_DB
    return key.startswith("max_") and key.endswith("error") and value < _ROUNDING_ERROR


def _leaves(value: Fact, names: Mapping[str, str]) -> Iterator[Fact]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from _leaves(each, names)
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each, names)
    else:
        yield names.get(value, value) if isinstance(value, str) else value
