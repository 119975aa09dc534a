"""Boxes in torch: the grid of locations, and the decoding of raw predictions.

Letters: N batch, H, W of the input, M locations, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_TINY = 1e-16
"""Keeps the quotients of boxes without area finite."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The locations at which a detector predicts, maps in the order of the strides, row by row."""

    corners: Tensor
    """Shape `(M, 2)`, float32: x and y of each location's corner in units of its stride."""
    strides: Tensor
    """Shape `(M, 1)`, float32, pixels of the input."""

    @classmethod
    def of(cls, height: int, width: int, strides: Sequence[int]) -> Grid:
        """Return the grid of an input of `height` x `width` pixels, multiples of every stride."""
        corners, steps = [], []
        for stride in strides:
            rows, columns = height // stride, width // stride
            y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
            corners.append(torch.stack([x, y], dim=-1).reshape(-1, 2))
            steps.append(torch.full((rows * columns, 1), stride))
        return cls(torch.cat(corners).float(), torch.cat(steps).float())

    def to(self, device: torch.device) -> Grid:
        """Return the same grid on another device."""
        return Grid(self.corners.to(device), self.strides.to(device))


def decode(offsets: Tensor, grid: Grid) -> Tensor:
    """Return boxes `(N, M, 4)`, centre x, centre y, width, height, pixels of the input.

    Ge et al. 2021, section 2.1 (anchor-free).

    Args:
        offsets: Shape `(N, M, 4)`, of `edgetl.nn.yolox.RawDetections`.
        grid: With `M` locations.
    """
    centres = (offsets[..., :2] + grid.corners) * grid.strides
    sizes = offsets[..., 2:].exp() * grid.strides
    return torch.cat([centres, sizes], dim=-1)


def to_corners(boxes: Tensor) -> Tensor:
    """Return centre boxes `(..., 4)` as x and y of the upper left and the lower right corner."""
    half = boxes[..., 2:] / 2
    return torch.cat([boxes[..., :2] - half, boxes[..., :2] + half], dim=-1)


def pair_ious(first: Tensor, second: Tensor) -> Tensor:
    """Return the intersection over union of each box with its partner, shape `(...)`.

    Args:
        first: Shape `(..., 4)`, centre x, centre y, width, height, float32.
        second: Of the same shape.
    """
    shared, union, _ = _areas(first, second)
    return shared / union


def pair_gious(first: Tensor, second: Tensor) -> Tensor:
    """Return the generalised IoU in [-1, 1] of each box with its partner, shape `(...)`.

    The IoU, less the share of the smallest enclosing box that neither fills, so that disjoint boxes
    still have a gradient (Rezatofighi et al. 2019, https://arxiv.org/abs/1902.09630).

    Args:
        first: Shape `(..., 4)`, centre x, centre y, width, height, float32.
        second: Of the same shape.
    """
    shared, union, around = _areas(first, second)
    return shared / union - (around - union) / around


def _areas(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the areas of intersection, union and enclosing box; the last two above zero."""
    one, other = to_corners(first), to_corners(second)
    upper = torch.maximum(one[..., :2], other[..., :2])
    lower = torch.minimum(one[..., 2:], other[..., 2:])
    shared = _area((lower - upper).clamp(min=0.0))
    union = _area(first[..., 2:]) + _area(second[..., 2:]) - shared
    outer = torch.maximum(one[..., 2:], other[..., 2:]) - torch.minimum(
        one[..., :2], other[..., :2]
    )
    return shared, union.clamp(min=_TINY), _area(outer).clamp(min=_TINY)


def _area(sides: Tensor) -> Tensor:
    return sides[..., 0] * sides[..., 1]
