"""The findings of a lint: the ranges of the parts of a tensor, and which parts lose their bits."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from edgetl.errors import first_of
from edgetl.graph_lint import LIMIT
from edgetl.graph_lint._moves import Grid
from edgetl.graph_lint.clipping import Clipped, Counts, Rounding, column_title, judge_clipping
from edgetl.graph_lint.inputs import Feed

Place = Literal["output", "inside", "clipped"]
_MOST_COLUMNS = 1024
"""An axis with more entries counts places, not kinds of values."""
_MOST_NAMED = 4

Values = Mapping[str, NDArray[np.float64]]
Columns = tuple[NDArray[np.float64], NDArray[np.float64]]
"""The lowest and the highest value of each column of an axis."""


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

    @property
    def title(self) -> str:
        """Return what it is called in a message."""
        return f"{self.kind} '{self.name}'" if self.name else self.kind


@dataclass(frozen=True, slots=True)
class Unseen:
    """A part of a model that a lint cannot examine."""

    what: str
    remedy: str


class Network(Protocol):
    """A model file that can be looked into."""

    @property
    def feed(self) -> Feed:
        """Return what is fed to its inputs."""

    @property
    def joins(self) -> Sequence[Join]:
        """Return its joining operations in the order of the file."""

    @property
    def outputs(self) -> Sequence[str]:
        """Return the names of its output tensors."""

    @property
    def num_predictions(self) -> frozenset[str]:
        """Return the tensors that reach an output unchanged, by moves and joins alone."""

    @property
    def within_one(self) -> Collection[str]:
        """Return the branches that are scores: their values cannot leave 0..1."""

    @property
    def grids(self) -> Mapping[str, Grid]:
        """Return the grid of each output that was rounded to one."""

    @property
    def roundings(self) -> Sequence[Rounding]:
        """Return the roundings of what reaches an output, where the values before are visible."""

    @property
    def rounded_inside(self) -> Collection[str]:
        """Return the outputs on a grid that some operation rounds its own results to."""

    @property
    def unseen(self) -> Sequence[Unseen]:
        """Return the parts whose values its engine does not expose."""

    def run(self, image: NDArray[np.generic]) -> Values:
        """Return the branches and outputs that hold real numbers, by name; they may be empty."""


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
    """A tensor whose parts differ in range by more than `LIMIT`, or whose scale cuts off a part."""

    place: Place
    """``output`` if the tensor, moved at most, is an output of the network; ``clipped`` if the
    scale of such a tensor does not hold a part of it."""
    what: str
    """For example ``Concat 'cat_3'`` or ``output 'dets', axis 2``."""
    tensor: str
    parts: tuple[Part, ...]
    ratio: float
    """Largest over smallest reach; in a quantised file a reach counts as half a step at least. Of a
    part that is cut off, its reach over that of the scale, where its values are visible."""
    step: float | None
    """Of the tensor in a quantised file."""
    share: float | None = None
    """Of the values of a part that is cut off: how many are."""


@dataclass(frozen=True, slots=True)
class Lint:
    """The findings in a model file, and what they are based on."""

    findings: tuple[Finding, ...]
    """What is cut off, then differences in range; outputs first, worst first."""
    fed: tuple[str, ...]
    """What was fed to the model in addition to one image, in sentences."""
    unseen: tuple[Unseen, ...]


def judge(network: Network, images: Iterable[NDArray[np.generic]]) -> Lint:
    """Return the tensors that `network` should not join, judged by its values on `images`."""
    tensors = {name for join in network.joins for name in join.branches}
    counts = {each.before: Counts(each.grid, outside=True) for each in network.roundings}
    counts |= {
        name: Counts(network.grids[name], outside=False)
        for name in network.outputs
        if name in network.rounded_inside
    }
    ends: dict[str, tuple[float, float]] = {}
    columns: dict[tuple[str, int], Columns] = {}
    empty: set[str] = set()
    full: set[str] = set()
    for image in images:
        for name, values in network.run(image).items():
            if not values.size:
                empty.add(name)
                continue
            full.add(name)
            if name in counts:
                counts[name].add(values, _column_axes(values.shape))
            if name in tensors:
                low, high = ends.get(name, (np.inf, -np.inf))
                ends[name] = (min(low, float(values.min())), max(high, float(values.max())))
            if name in network.outputs:
                for axis in _column_axes(values.shape):
                    _widen(columns, (name, axis), values)
    joined = (_judge_join(join, ends, network) for join in network.joins)
    split = (
        _judge_columns(name, axis, ends_of_columns, network.grids.get(name))
        for (name, axis), ends_of_columns in columns.items()
    )
    findings = [finding for finding in (*joined, *split) if finding is not None]
    findings.sort(key=lambda finding: (finding.place != "output", -finding.ratio))
    unseen = (*network.unseen, *_never_filled(network, empty - full))
    titles = {name: f"output '{name}'" for name in network.outputs}
    clipped = map(_clipped_finding, judge_clipping(counts, titles))
    return Lint((*clipped, *findings), network.feed.notes, unseen)


def inside_branches(joins: Sequence[str], engine: str) -> list[Unseen]:
    """Return the report on joining operations whose values an engine does not expose."""
    if not joins:
        return []
    named = first_of(joins, _MOST_NAMED)
    return [
        Unseen(
            f"{len(joins)} joining operation{'s' * (len(joins) > 1)} inside branches and loops, "
            f"of which {engine} shows no values: {named}",
            "export the model without control flow, or with its constant conditions folded",
        )
    ]


def _never_filled(network: Network, empty: set[str]) -> Iterator[Unseen]:
    remedy = "give images of what the model looks for: --image FILE"
    for name in network.outputs:
        if name in empty:
            yield Unseen(f"output '{name}', which was empty on every image", remedy)
    for join in network.joins:
        for name in dict.fromkeys(join.branches):
            if name in empty:
                what = f"part '{name}' of {join.title}, which was empty on every image"
                yield Unseen(what, remedy)


def _judge_join(
    join: Join, ends: Mapping[str, tuple[float, float]], network: Network
) -> Finding | None:
    parts = tuple(Part(name, *ends[name]) for name in join.branches if name in ends)
    # A part that is always zero loses nothing, unless it was rounded to zero. Scores were low on
    # these images, which show nothing that the model looks for; on others they reach 1.
    least = join.step / 2 if join.step else 0.0
    reaches = [
        1.0 if part.name in network.within_one and part.reach else max(part.reach, least)
        for part in parts
    ]
    reaches = [reach for reach in reaches if reach > 0]
    if len(reaches) < 2 or max(reaches) <= LIMIT * min(reaches):  # noqa: PLR2004
        return None
    return Finding(
        "output" if join.output in network.num_predictions else "inside",
        join.title,
        join.output,
        parts,
        max(reaches) / min(reaches),
        join.step,
    )


def _clipped_finding(clipped: Clipped) -> Finding:
    scale = Part("scale", *clipped.grid.ends)
    part = Part("before rounding", *clipped.reach) if clipped.reach else scale
    return Finding(
        "clipped",
        clipped.what,
        clipped.tensor,
        (part, scale),
        part.reach / scale.reach,
        clipped.grid.step,
        clipped.share,
    )


def _judge_columns(name: str, axis: int, columns: Columns, grid: Grid | None) -> Finding | None:
    """Cut the columns where all of one side reach farther than all of the other.

    Probabilities share a scale well, so rare classes beside frequent ones are no finding.
    """
    lows, highs = columns
    step = grid.step if grid else None
    # As in a join, a column that is always zero loses nothing, unless it was rounded to zero.
    reaches = np.maximum(np.maximum(np.abs(lows), np.abs(highs)), step / 2 if step else 0.0)
    (kept,) = np.nonzero(reaches)
    reaches = reaches[kept]
    if len(kept) < 2 or reaches.max() <= 1.0:  # noqa: PLR2004
        return None
    cuts = range(1, len(kept))
    ratios = [_ratio(reaches[:cut], reaches[cut:]) for cut in cuts]
    best = int(np.argmax(ratios))
    if ratios[best] <= LIMIT:
        return None
    cut = cuts[best]
    parts = tuple(
        Part(column_title(start, last), float(lows[start : last + 1].min()),
             float(highs[start : last + 1].max()))
        for start, last in ((kept[0], kept[cut - 1]), (kept[cut], kept[-1]))
    )  # fmt: skip
    return Finding("output", f"output '{name}', axis {axis}", name, parts, ratios[best], step)


def _ratio(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    return float(max(first.min() / second.max(), second.min() / first.max()))


def _column_axes(shape: tuple[int, ...]) -> list[int]:
    """Return the axes of an output that may count kinds of values, after that of the batch."""
    return [axis for axis in range(1, len(shape)) if 2 <= shape[axis] <= _MOST_COLUMNS]  # noqa: PLR2004


def _widen(
    columns: dict[tuple[str, int], Columns],
    key: tuple[str, int],
    values: NDArray[np.float64],
) -> None:
    others = tuple(axis for axis in range(values.ndim) if axis != key[1])
    lows, highs = values.min(axis=others), values.max(axis=others)
    if key in columns and len(columns[key][0]) != len(lows):
        # An axis whose length changes counts detections, not kinds of values.
        lows = highs = lows[:0]
    elif key in columns:
        lows, highs = np.minimum(lows, columns[key][0]), np.maximum(highs, columns[key][1])
    columns[key] = lows, highs
