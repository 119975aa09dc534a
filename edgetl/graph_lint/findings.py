"""What a lint finds, and how: how far the parts of a tensor reach, and which are drowned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from edgetl.graph_lint import LIMIT

Place = Literal["output", "inside"]
_MOST_COLUMNS = 1024
"""An axis with more entries counts places, not kinds of values."""

Values = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Image:
    """The input of a network as its file states it, sizes in pixels."""

    height: int
    width: int
    channels: int
    channels_first: bool
    dtype: str
    """numpy's name: ``float32``, ``uint8`` ..."""


@dataclass(frozen=True, slots=True)
class Join:
    """An operation that makes one tensor of several."""

    kind: str
    name: str
    branches: tuple[str, ...]
    """Names of the tensors that it reads."""
    output: str
    step: float | None
    """Real value of one step of its output in a quantised file; None in float."""


class Network(Protocol):
    """A model file that can be looked into."""

    @property
    def image(self) -> Image:
        """Return what it takes."""

    @property
    def joins(self) -> Sequence[Join]:
        """Return its joining operations in the order of the file."""

    @property
    def outputs(self) -> Sequence[str]:
        """Return the names of the tensors that it answers with."""

    @property
    def answered(self) -> frozenset[str]:
        """Return the tensors that reach an output unchanged, by moves and joins alone."""

    def run(self, picture: NDArray[np.generic]) -> Values:
        """Return branches, outputs of joins and outputs by name, as real numbers."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the values that share a tensor, and how far they reach."""

    name: str
    """Of a joined tensor; or ``columns 4 to 84`` of an output."""
    lowest: float
    highest: float

    @property
    def reach(self) -> float:
        """Return the largest absolute value."""
        return max(abs(self.lowest), abs(self.highest))


@dataclass(frozen=True, slots=True)
class Finding:
    """A tensor whose parts differ in range by more than `LIMIT`."""

    place: Place
    """``output`` if the tensor, moved at most, is an answer of the network."""
    what: str
    """For example ``Concat 'cat_3'`` or ``output 'dets', axis 2``."""
    tensor: str
    parts: tuple[Part, ...]
    ratio: float
    """Largest over smallest reach; in a quantised file a reach counts as half a step at least."""
    step: float | None
    """Of the tensor in a quantised file."""


def judge(network: Network, shown: Iterable[NDArray[np.generic]]) -> list[Finding]:
    """Return what `network` joins that it should not, outputs first, worst first."""
    tensors = {name for join in network.joins for name in join.branches}
    ends: dict[str, tuple[float, float]] = {}
    columns: dict[tuple[str, int], tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    for picture in shown:
        values = network.run(picture)
        for name in tensors & values.keys():
            low, high = ends.get(name, (np.inf, -np.inf))
            found = values[name]
            ends[name] = (min(low, float(found.min())), max(high, float(found.max())))
        for name in network.outputs:
            for axis in _column_axes(values[name].shape):
                _widen(columns, (name, axis), values[name])
    joined = (_judge_join(join, ends, network.answered) for join in network.joins)
    split = (_judge_columns(name, axis, *found) for (name, axis), found in columns.items())
    findings = [found for found in (*joined, *split) if found is not None]
    return sorted(findings, key=lambda found: (found.place != "output", -found.ratio))


def _judge_join(
    join: Join, ends: Mapping[str, tuple[float, float]], answered: frozenset[str]
) -> Finding | None:
    parts = tuple(Part(name, *ends[name]) for name in join.branches if name in ends)
    # A part that is always zero loses nothing, unless it was rounded to zero.
    least = join.step / 2 if join.step else 0.0
    reaches = [max(part.reach, least) for part in parts]
    reaches = [reach for reach in reaches if reach > 0]
    if len(reaches) < 2 or max(reaches) <= LIMIT * min(reaches):  # noqa: PLR2004
        return None
    return Finding(
        "output" if join.output in answered else "inside",
        f"{join.kind} '{join.name}'" if join.name else join.kind,
        join.output,
        parts,
        max(reaches) / min(reaches),
        join.step,
    )


def _judge_columns(
    name: str, axis: int, lows: NDArray[np.float64], highs: NDArray[np.float64]
) -> Finding | None:
    """Cut the columns where all of one side reach farther than all of the other.

    Probabilities share a scale well, so rare classes beside frequent ones are no finding.
    """
    reaches = np.maximum(np.abs(lows), np.abs(highs))
    if reaches.max() <= 1.0 or not np.all(reaches > 0):
        return None
    cuts = range(1, len(reaches))
    ratios = [_ratio(reaches[:cut], reaches[cut:]) for cut in cuts]
    best = int(np.argmax(ratios))
    if ratios[best] <= LIMIT:
        return None
    cut = cuts[best]
    parts = tuple(
        Part(_columns(start, stop), float(lows[start:stop].min()), float(highs[start:stop].max()))
        for start, stop in ((0, cut), (cut, len(reaches)))
    )
    return Finding("output", f"output '{name}', axis {axis}", name, parts, ratios[best], None)


def _ratio(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    return float(max(first.min() / second.max(), second.min() / first.max()))


def _columns(start: int, stop: int) -> str:
    return f"column {start}" if stop - start == 1 else f"columns {start} to {stop - 1}"


def _column_axes(shape: tuple[int, ...]) -> list[int]:
    """Return the axes of an output that may count kinds of values, after that of the batch."""
    return [axis for axis in range(1, len(shape)) if 2 <= shape[axis] <= _MOST_COLUMNS]  # noqa: PLR2004


def _widen(
    columns: dict[tuple[str, int], tuple[NDArray[np.float64], NDArray[np.float64]]],
    key: tuple[str, int],
    values: NDArray[np.float64],
) -> None:
    others = tuple(axis for axis in range(values.ndim) if axis != key[1])
    lows, highs = values.min(axis=others), values.max(axis=others)
    if key in columns:
        lows, highs = np.minimum(lows, columns[key][0]), np.maximum(highs, columns[key][1])
    columns[key] = lows, highs
