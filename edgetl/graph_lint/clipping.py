"""Report values of a quantized output that its scale does not hold, so that they are cut off.

Where boxes and scores share an output, the scale that suits the scores cuts off the boxes: all
large ones become equal. Only tensors that reach an output unchanged are judged: inside a network
a range may be narrow on purpose, in front of an activation that shuts off the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgetl.graph_lint._moves import Grid

MANY = 0.2
"""Share of values cut off that is a finding. Ranges from calibration omit far fewer."""
_FEW = 0.02
"""Share in the other parts of a tensor, beside which that is conspicuous."""
_FAR = 0.5
"""Widths of a scale by which a value is outside where it would not just be rounded to an end."""
_LEAST_PLACES = 16
"""Values of each column in an image: fewer are the classes of an image, which may all be sure."""


@dataclass(frozen=True, slots=True)
class Rounding:
    """A tensor that is rounded to a grid and whose values are visible before."""

    before: str
    after: str
    grid: Grid


@dataclass(frozen=True, slots=True)
class Clipped:
    """Values of an output that stand at an end of their scale because it does not hold them."""

    what: str
    """For example ``'boxes'`` or ``output 'dets', axis 1, columns 0 to 3``."""
    tensor: str
    share: float
    """Of the values, on all images."""
    grid: Grid
    reach: tuple[float, float] | None
    """Lowest and highest value before rounding; None where they are not visible."""


@dataclass(slots=True)
class Counts:
    """How many values of each column of a tensor are cut off, over several images."""

    grid: Grid
    outside: bool
    """Whether values from before rounding are counted, beyond the scale; else those at its ends."""
    shares: dict[int, list[NDArray[np.float64]]] = field(default_factory=dict)
    """By axis: of each image, the share of each column."""
    reach: tuple[float, float] = (np.inf, -np.inf)

    def add(self, values: NDArray[np.float64], axes: Iterable[int]) -> None:
        """Count the `values` of one image, whose columns may lie along any of `axes`."""
        cut = self._outside(values) if self.outside else self._at_ends(values)
        self.reach = (
            min(self.reach[0], float(values.min())),
            max(self.reach[1], float(values.max())),
        )
        for axis in axes:
            if values.size >= _LEAST_PLACES * values.shape[axis]:
                others = tuple(other for other in range(values.ndim) if other != axis)
                self.shares.setdefault(axis, []).append(cut.mean(axis=others))

    def _outside(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        low, high = self.grid.ends
        margin = _FAR * (high - low)
        return (values < low - margin) | (values > high + margin)

    def _at_ends(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        # What ends at zero is cut off there by its activation, not by its scale.
        half = self.grid.step / 2
        at_ends = np.zeros(values.shape, np.bool_)
        for end in self.grid.ends:
            if abs(end) > half:
                at_ends |= np.abs(values - end) < half
        return at_ends


def judge_clipping(counts: Mapping[str, Counts], titles: Mapping[str, str]) -> tuple[Clipped, ...]:
    """Return what is cut off, worst first.

    Args:
        counts: By tensor.
        titles: What a tensor is called in a message, where that is not its name.
    """
    clipped = []
    for name, count in counts.items():
        title = titles.get(name, f"'{name}'")
        best: tuple[float, str] = (0.0, "")
        for axis, shares in count.shares.items():
            if len({len(share) for share in shares}) > 1:
                continue  # an axis whose length changes counts detections, not kinds of values
            means = np.mean(shares, axis=0)
            best = max(best, _conspicuous(means, f"{title}, axis {axis}, "))
            if count.outside:
                best = max(best, (float(means.mean()), title))
        if best[0] >= MANY:
            reach = count.reach if count.outside else None
            clipped.append(Clipped(best[1], name, best[0], count.grid, reach))
    return tuple(sorted(clipped, key=lambda each: -each.share))


def _conspicuous(shares: NDArray[np.float64], title: str) -> tuple[float, str]:
    """Return the share of the columns on one side of a cut with hardly any on the other side."""
    best = (0.0, "")
    for cut in range(1, len(shares)):
        first, last = float(shares[:cut].mean()), float(shares[cut:].mean())
        if last <= _FEW:
            best = max(best, (first, title + column_title(0, cut - 1)))
        if first <= _FEW:
            best = max(best, (last, title + column_title(cut, len(shares) - 1)))
    return best


def column_title(start: int, last: int) -> str:
    """Return what the columns from `start` to `last` are called."""
    return f"column {start}" if start == last else f"columns {start} to {last}"
