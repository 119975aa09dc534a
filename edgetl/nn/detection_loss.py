"""The loss of a YOLOX detector on labelled boxes, with SimOTA to assign locations to boxes.

Ge et al. 2021, https://arxiv.org/abs/2107.08430, section 2.1. Letters: N images, M locations of all
maps, T boxes of an image, K classes; in a batch G boxes, P positive locations (assigned to a box),
and C candidates of a box.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - the name the field knows
from torch import Tensor

from edgetl.nn.boxes import Grid, decode, pair_ious
from edgetl.nn.yolox import RawDetections

BOX_WEIGHT = 5.0
"""Of the loss on boxes, relative to those on objectness and classes."""

_RADIUS = 1.5
"""Half the side of the region around a box's centre whose locations are candidates, in strides."""
_REACH = (-1, 0, 1)
"""Cells on each side of the centre's cell; none further away has its middle within the radius."""
_MOST = 10
"""Candidates whose overlaps set how many locations a box gets (Ge et al. 2021b, section 3.3)."""
_OVERLAP_COST = 3.0
_SMALLEST = 1e-7
_LARGEST_LOG = 20.0
"""Sizes are at most e**20 strides: beyond, areas overflow float32 and the loss becomes NaN."""


class DetectionLosses(NamedTuple):
    """Scalars, each divided by the number of positive locations; the parts add up to the total."""

    total: Tensor
    box: Tensor
    """`BOX_WEIGHT` times 1 - IoU**2."""
    objectness: Tensor
    classes: Tensor
    l1: Tensor
    """Zero unless requested."""


class Assignment(NamedTuple):
    """The boxes that locations are assigned to; at most one per location."""

    images: Tensor
    """Shape `(P,)`, int64 in 0..N-1."""
    locations: Tensor
    """Shape `(P,)`, int64 in 0..M-1."""
    boxes: Tensor
    """Shape `(P,)`, int64: row of the given boxes."""
    overlaps: Tensor
    """Shape `(P,)`: IoU of the location's current prediction with its box."""


def detection_loss(
    raw: RawDetections, grid: Grid, boxes: Tensor, labels: Tensor, *, l1: bool
) -> DetectionLosses:
    """Return the loss of the predictions against the labelled boxes.

    The target of the class is the current IoU of the box; the target of objectness is 1 at positive
    locations and 0 everywhere else.

    Args:
        raw: Outputs of the network; computed in float32.
        grid: Of the network's input, on the same device.
        boxes: Shape `(N, T, 4)`, centre x, centre y, width, height, pixels of the input.
        labels: Shape `(N, T)`, int64 in 0..K-1; -1 for padding.
        l1: Add the absolute differences of offsets, for the last epochs.

    Raises:
        ValueError: If the shapes do not match.
    """
    _check_shapes(raw, grid, boxes, labels)
    raw = RawDetections(*(part.float() for part in raw))
    owner, column = (labels >= 0).nonzero(as_tuple=True)
    truth, truth_labels = boxes[owner, column].float(), labels[owner, column]
    assigned = assign(raw, grid, truth, truth_labels, owner)

    count = max(1, len(assigned.images))
    offsets = raw.offsets[assigned.images, assigned.locations]
    targets = truth[assigned.boxes]
    predictions = Grid(grid.corners[assigned.locations], grid.strides[assigned.locations])
    overlaps = pair_ious(decode_safely(offsets, predictions), targets)
    logits = raw.classes[assigned.images, assigned.locations]
    is_class = F.one_hot(truth_labels[assigned.boxes], logits.shape[1])
    is_object = torch.zeros_like(raw.objectness)
    is_object[assigned.images, assigned.locations] = 1.0

    box = BOX_WEIGHT * (1 - overlaps**2).sum() / count
    objectness = F.binary_cross_entropy_with_logits(raw.objectness, is_object, reduction="sum")
    classes = F.binary_cross_entropy_with_logits(
        logits, is_class * assigned.overlaps[:, None], reduction="sum"
    )
    objectness, classes = objectness / count, classes / count
    distance = offsets.new_zeros(())
    if l1:
        distance = (offsets - _encode(targets, predictions)).abs().sum() / count
    return DetectionLosses(
        box + objectness + classes + distance, box, objectness, classes, distance
    )


@torch.no_grad()
def assign(
    raw: RawDetections, grid: Grid, boxes: Tensor, labels: Tensor, owner: Tensor
) -> Assignment:
    """Return the assignment of locations to the boxes of a whole batch (SimOTA).

    Candidates of a box are the locations within 1.5 strides of its centre, on every map. It gets
    those with the lowest cost, which is the cross entropy of its class plus three times -log IoU;
    their number is the sum of the ten best overlaps, but at least one. A location that several
    boxes select goes to the one with the lowest cost. A box whose centre lies outside the input has
    no candidate.

    Args:
        raw: Outputs of the network, float32.
        grid: With M locations.
        boxes: Shape `(G, 4)`, centre x, centre y, width, height, pixels of the input.
        labels: Shape `(G,)`, int64 in 0..K-1.
        owner: Shape `(G,)`, int64: the image of each box.
    """
    near, allowed = _candidates(grid, boxes)
    images = owner[:, None].expand_as(near)
    predicted = decode_safely(
        raw.offsets[images, near], Grid(grid.corners[near], grid.strides[near])
    )
    overlaps = pair_ious(predicted, boxes[:, None].expand_as(predicted)) * allowed
    cost = _class_cost(raw, images, near, labels) - _OVERLAP_COST * (overlaps + 1e-8).log()
    cost = cost.masked_fill(~allowed, torch.inf)

    best = overlaps.topk(min(_MOST, overlaps.shape[1]), dim=1).values
    wanted = best.sum(dim=1).long().clamp(min=1)
    order = cost.argsort(dim=1, stable=True)
    rank = order.argsort(dim=1)
    row, candidate = ((rank < wanted[:, None]) & allowed).nonzero(as_tuple=True)
    kept = _cheapest(
        owner[row] * len(grid.strides) + near[row, candidate], cost[row, candidate], row
    )
    row, candidate = row[kept], candidate[kept]
    return Assignment(owner[row], near[row, candidate], row, overlaps[row, candidate])


def decode_safely(offsets: Tensor, grid: Grid) -> Tensor:
    """Return `decode` with sizes limited so that areas do not overflow float32."""
    sizes = offsets[..., 2:].clamp(max=_LARGEST_LOG)
    return decode(torch.cat([offsets[..., :2], sizes], dim=-1), grid)


def _candidates(grid: Grid, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Return locations `(G, C)` around the centres, and which of them are within the radius."""
    steps, counts = torch.unique_consecutive(grid.strides[:, 0], return_counts=True)
    reach = torch.tensor(_REACH, device=boxes.device)
    locations, allowed = [], []
    start = 0
    for step, count in zip(steps.tolist(), counts.tolist(), strict=True):
        columns = int(grid.corners[start : start + count, 0].max()) + 1
        ends = boxes.new_tensor([columns, count // columns])
        centres = boxes[:, :2] / step
        cells = centres.floor()[:, None] + reach[:, None]  # (G, 3, 2), x and y
        inside = (cells >= 0) & (cells < ends)
        inside &= (cells + 0.5 - centres[:, None]).abs() < _RADIUS
        x, y = cells.clamp(min=0).minimum(ends - 1).long().unbind(dim=-1)
        locations.append((start + y[:, :, None] * columns + x[:, None]).flatten(1))
        allowed.append((inside[:, :, None, 1] & inside[:, None, :, 0]).flatten(1))
        start += count
    return torch.cat(locations, dim=1), torch.cat(allowed, dim=1)


def _class_cost(raw: RawDetections, images: Tensor, near: Tensor, labels: Tensor) -> Tensor:
    """Return the cross entropy `(G, C)` of each box's class with the root of class x objectness."""
    # Boxes share most of their candidates, so everything is computed once per location.
    places, place = (images * raw.classes.shape[1] + near).unique(return_inverse=True)
    log_root = F.logsigmoid(raw.classes.flatten(0, 1)[places])
    log_root = (log_root + F.logsigmoid(raw.objectness.flatten(0, 1)[places])) / 2
    log_rest = (1 - log_root.exp()).clamp(min=_SMALLEST).log()
    of_class = (log_rest - log_root)[place, labels[:, None]]
    return of_class - log_rest.sum(dim=1)[place]


def _cheapest(places: Tensor, cost: Tensor, rows: Tensor) -> Tensor:
    """Return which pairs are kept: the cheapest of each location; ties go to the first row."""
    distinct, place = places.unique(return_inverse=True)
    least = cost.new_full((len(distinct),), torch.inf)
    least = least.scatter_reduce(0, place, cost, "amin")
    is_least = cost == least[place]
    no_row = torch.iinfo(rows.dtype).max
    claims = torch.where(is_least, rows, no_row)
    first = rows.new_full((len(distinct),), no_row).scatter_reduce(0, place, claims, "amin")
    return is_least & (rows == first[place])


def _encode(boxes: Tensor, grid: Grid) -> Tensor:
    """Return the offsets that decode to `boxes`, both `(P, 4)`."""
    centres = boxes[:, :2] / grid.strides - grid.corners
    return torch.cat([centres, (boxes[:, 2:] / grid.strides).clamp(min=1e-8).log()], dim=1)


def _check_shapes(raw: RawDetections, grid: Grid, boxes: Tensor, labels: Tensor) -> None:
    if raw.offsets.shape[1] != len(grid.strides):
        raise ValueError(
            f"the network predicts at {raw.offsets.shape[1]} locations, the grid has "
            f"{len(grid.strides)}"
        )
    if boxes.shape != (*labels.shape, 4) or len(labels) != len(raw.offsets):
        raise ValueError(
            f"boxes {tuple(boxes.shape)} and labels {tuple(labels.shape)} must be (N, T, 4) and "
            f"(N, T) for N = {len(raw.offsets)} images"
        )
