from __future__ import annotations

import math

import pytest
import torch

from edgetl.nn.boxes import Grid, decode, pair_gious, pair_ious, to_corners


def test_grid_lists_the_locations_map_by_map_and_row_by_row() -> None:
    grid = Grid.of(16, 24, (8, 16))

    assert grid.corners.tolist() == [[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1], [0, 0]]
    assert grid.strides.flatten().tolist() == [8, 8, 8, 8, 8, 8, 16]


def test_offsets_are_decoded_from_the_corner_of_the_location_in_its_strides() -> None:
    grid = Grid.of(16, 24, (8, 16))
    offsets = torch.zeros(1, 7, 4)
    offsets[0, 5] = torch.tensor([0.5, -0.25, math.log(3.0), math.log(0.5)])
    offsets[0, 6] = torch.tensor([0.5, 0.5, 0.0, 0.0])

    boxes = decode(offsets, grid)

    assert boxes[0, 5].tolist() == pytest.approx([2.5 * 8, 0.75 * 8, 24, 4])
    assert boxes[0, 6].tolist() == pytest.approx([8, 8, 16, 16])


def test_corners_lie_half_a_side_from_the_centre() -> None:
    assert to_corners(torch.tensor([[10.0, 20.0, 4.0, 6.0]])).tolist() == [[8, 17, 12, 23]]


@pytest.mark.parametrize(
    ("other", "iou", "giou"),
    [
        # Shared 4 x 4 of two 4 x 4 boxes.
        ((2.0, 2.0, 4.0, 4.0), 1.0, 1.0),
        # Shared 2 x 4 = 8; union 16 + 16 - 8 = 24, which fills the box round both, 6 x 4.
        ((4.0, 2.0, 4.0, 4.0), 1 / 3, 1 / 3),
        # Shared 2 x 2 = 4; union 28; box round both 6 x 6.
        ((4.0, 4.0, 4.0, 4.0), 1 / 7, 1 / 7 - 8 / 36),
        # Apart by 4 pixels: union 32 of 12 x 4.
        ((10.0, 2.0, 4.0, 4.0), 0.0, -16 / 48),
        # Inside: shared 1; union 16, the outer box.
        ((2.0, 2.0, 1.0, 1.0), 1 / 16, 1 / 16),
    ],
    ids=["equal", "half beside", "quarter", "apart", "inside"],
)
def test_overlaps_by_hand(
    other: tuple[float, float, float, float], iou: float, giou: float
) -> None:
    first, second = torch.tensor([2.0, 2.0, 4.0, 4.0]), torch.tensor(other)

    for one, two in ((first, second), (second, first)):
        assert pair_ious(one, two).item() == pytest.approx(iou)
        assert pair_gious(one, two).item() == pytest.approx(giou)


def test_boxes_without_area_overlap_with_nothing_and_give_numbers() -> None:
    nothing = torch.tensor([3.0, 3.0, 0.0, 0.0])

    assert pair_ious(nothing, nothing).item() == 0.0
    assert pair_gious(nothing, nothing).isfinite()


def test_boxes_apart_still_pull_through_the_generalised_overlap() -> None:
    box = torch.tensor([10.0, 2.0, 4.0, 4.0], requires_grad=True)

    (1 - pair_gious(box, torch.tensor([2.0, 2.0, 4.0, 4.0]))).backward()

    assert box.grad is not None
    assert box.grad[0] > 0  # a step against the gradient moves the centre to the left, nearer
