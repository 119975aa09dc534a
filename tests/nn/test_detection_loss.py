from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from edgetl.models import FAMILIES
from edgetl.nn.boxes import Grid, decode, to_corners
from edgetl.nn.detection_loss import Assignment, DetectionLosses, assign, detection_loss
from edgetl.nn.yolox import RawDetections

ROW = Grid.of(8, 32, (8,))
"""Four locations of stride 8 beside each other; their middles lie at x = 4, 12, 20, 28."""


@pytest.fixture(autouse=True)
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(mode=True)
    yield
    torch.use_deterministic_algorithms(mode=False)


def predictions(
    boxes: list[tuple[float, float, float, float]], grid: Grid = ROW, num_classes: int = 2
) -> RawDetections:
    """Return raw answers that decode to `boxes`, one per location, all logits zero."""
    wanted = torch.tensor([boxes])
    offsets = torch.cat(
        [wanted[..., :2] / grid.strides - grid.corners, (wanted[..., 2:] / grid.strides).log()],
        dim=-1,
    )
    count = len(grid.strides)
    return RawDetections(offsets, torch.zeros(1, count, 1), torch.zeros(1, count, num_classes))


def pairs(assignment: Assignment) -> set[tuple[int, int, int]]:
    """Return image, location and box of each pair."""
    columns = (assignment.images.tolist(), assignment.locations.tolist(), assignment.boxes.tolist())
    return set(zip(*columns, strict=True))


def assigned(raw: RawDetections, *boxes: tuple[float, float, float, float]) -> Assignment:
    owner = torch.zeros(len(boxes), dtype=torch.int64)
    return assign(raw, ROW, torch.tensor(boxes), owner, owner)


def test_box_gets_as_many_locations_as_its_overlaps_add_up_to() -> None:
    # The box is 8 x 8 round (12, 4). Within 12 pixels of its centre: locations 0, 1 and 2. Their
    # overlaps are 1, 1 and 1/3 (8 x 8 moved by 4: 32 of 96), which make 2.33, so two; location 3
    # is too far away, although it says just the same as 0 and 1.
    raw = predictions([(12, 4, 8, 8), (12, 4, 8, 8), (16, 4, 8, 8), (12, 4, 8, 8)])

    assignment = assigned(raw, (12, 4, 8, 8))

    assert pairs(assignment) == {(0, 0, 0), (0, 1, 0)}
    assert assignment.overlaps.tolist() == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize(
    ("strides", "locations"),
    [
        # The middles of a 3 x 3 map lie within 12 pixels of its centre: nine overlaps of 1.
        pytest.param((8,), 9, id="nine overlaps"),
        # Another map adds its 2 x 2 locations: of thirteen overlaps only the ten best count.
        pytest.param((8, 16), 10, id="thirteen overlaps"),
    ],
)
def test_the_ten_best_overlaps_of_a_box_are_added_up(
    strides: tuple[int, ...], locations: int
) -> None:
    grid = Grid.of(24, 24, strides[:1])
    if len(strides) > 1:
        coarse = Grid.of(32, 32, strides[1:])
        grid = Grid(
            torch.cat([grid.corners, coarse.corners]), torch.cat([grid.strides, coarse.strides])
        )
    raw = predictions([(12, 12, 20, 20)] * len(grid.strides), grid)
    owner = torch.zeros(1, dtype=torch.int64)

    assignment = assign(raw, grid, torch.tensor([[12.0, 12, 20, 20]]), owner, owner)

    assert len(pairs(assignment)) == locations


def test_box_that_no_answer_overlaps_gets_one_location() -> None:
    raw = predictions([(100, 100, 8, 8)] * 4)

    # All cost the same; the first of the allowed ones, 1 to 3, is taken.
    assert pairs(assigned(raw, (20, 4, 8, 8))) == {(0, 1, 0)}


def test_location_goes_to_the_box_for_which_it_costs_least() -> None:
    # Both want location 1, which fits the second box better. The first one, with an overlap of
    # 32 / 96 at location 1 and of less elsewhere, is left without: it wanted one location only.
    raw = predictions([(100, 4, 8, 8), (14, 4, 8, 8), (100, 4, 8, 8), (100, 4, 8, 8)])

    assert pairs(assigned(raw, (10, 4, 8, 8), (14, 4, 8, 8))) == {(0, 1, 1)}


def test_identical_boxes_share_nothing_and_the_first_one_wins() -> None:
    raw = predictions([(12, 4, 8, 8)] * 4)

    assert {box for _, _, box in pairs(assigned(raw, (12, 4, 8, 8), (12, 4, 8, 8)))} == {0}


def test_class_that_fits_is_cheaper_than_one_that_does_not() -> None:
    raw = predictions([(12, 4, 8, 4)] * 4)
    raw.classes[0, 2, 0] = 3.0
    raw.classes[0, 0, 1] = 3.0
    boxes, owner = torch.tensor([[12.0, 4, 8, 8]]), torch.zeros(1, dtype=torch.int64)

    # Three overlaps of one half: one location; which one says the class.
    assert pairs(assign(raw, ROW, boxes, torch.tensor([0]), owner)) == {(0, 2, 0)}
    assert pairs(assign(raw, ROW, boxes, torch.tensor([1]), owner)) == {(0, 0, 0)}


def test_box_with_its_centre_outside_is_nobodys() -> None:
    raw = predictions([(12, 4, 8, 8)] * 4)

    assert pairs(assigned(raw, (12, 40, 8, 80), (-20, 4, 60, 8))) == set()


def slow_assignment(
    raw: RawDetections, grid: Grid, boxes: Tensor, labels: Tensor
) -> set[tuple[int, int]]:
    """SimOTA for the first image, location by location, as the paper describes it."""
    predicted = decode(raw.offsets, grid)[0].tolist()
    wishes: dict[int, list[tuple[float, int]]] = {}
    for box, (x, y, w, h) in enumerate(boxes.tolist()):
        ranked = []
        for place, stride in enumerate(grid.strides.flatten().tolist()):
            middle = ((grid.corners[place] + 0.5) * stride).tolist()
            if max(abs(middle[0] - x), abs(middle[1] - y)) >= 1.5 * stride:
                continue
            px, py, pw, ph = predicted[place]
            across = min(px + pw / 2, x + w / 2) - max(px - pw / 2, x - w / 2)
            down = min(py + ph / 2, y + h / 2) - max(py - ph / 2, y - h / 2)
            shared = max(across, 0.0) * max(down, 0.0)
            overlap = shared / (pw * ph + w * h - shared)
            cost = -3 * math.log(overlap + 1e-8)
            sure = torch.sigmoid(raw.objectness[0, place, 0]).item()
            for index, logit in enumerate(raw.classes[0, place].tolist()):
                root = math.sqrt(sure / (1 + math.exp(-logit)))
                cost -= math.log(root if index == labels[box] else 1 - root)
            ranked.append((cost, place, overlap))
        best = sorted((overlap for _, _, overlap in ranked), reverse=True)[:10]
        for cost, place, _ in sorted(ranked)[: max(1, int(sum(best)))]:
            wishes.setdefault(place, []).append((cost, box))
    return {(place, min(wanting)[1]) for place, wanting in wishes.items()}


@pytest.mark.parametrize("seed", range(5))
def test_assignment_of_a_batch_agrees_with_the_paper_taken_step_by_step(seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    grid = Grid.of(64, 96, (8, 16, 32))
    count, images, boxes_each = len(grid.strides), 3, 7
    raw = RawDetections(
        torch.randn(images, count, 4, generator=draw),
        torch.randn(images, count, 1, generator=draw),
        torch.randn(images, count, 4, generator=draw),
    )
    centres = torch.rand(images, boxes_each, 2, generator=draw) * torch.tensor([96.0, 64.0])
    sizes = torch.rand(images, boxes_each, 2, generator=draw) * 40 + 1
    boxes = torch.cat([centres, sizes], dim=-1)
    labels = torch.randint(0, 4, (images, boxes_each), generator=draw)
    owner = torch.arange(images).repeat_interleave(boxes_each)

    assignment = assign(raw, grid, boxes.flatten(0, 1), labels.flatten(), owner)

    for image in range(images):
        alone = RawDetections(*(part[image : image + 1] for part in raw))
        expected = slow_assignment(alone, grid, boxes[image], labels[image])
        own = {pair[1:] for pair in pairs(assignment) if pair[0] == image}
        assert {(place, box - image * boxes_each) for place, box in own} == expected


def losses(
    raw: RawDetections, boxes: list[tuple[float, ...]], labels: list[int], *, l1: bool = False
) -> DetectionLosses:
    return detection_loss(
        raw, ROW, torch.tensor([boxes]).reshape(1, -1, 4), torch.tensor([labels]).long(), l1=l1
    )


def test_losses_by_hand() -> None:
    # One location, 1, answers for the box: overlap one half (8 x 4 in 8 x 8). Others overlap less.
    raw = predictions([(100, 4, 8, 8), (12, 4, 8, 4), (100, 4, 8, 8), (100, 4, 8, 8)])
    raw.classes[0, 1] = torch.tensor([math.log(3.0), 0.0])

    parts = losses(raw, [(12, 4, 8, 8)], [0], l1=True)

    assert parts.box.item() == pytest.approx(5 * (1 - 0.25))
    assert parts.objectness.item() == pytest.approx(4 * math.log(2))
    # Class 0 is said with 3/4 and should be 1/2, its overlap; class 1 with 1/2 and should be 0.
    of_class = -0.5 * math.log(0.75) - 0.5 * math.log(0.25) + math.log(2)
    assert parts.classes.item() == pytest.approx(of_class, rel=1e-5)
    # Only the height is wrong: log(8 / 8) - log(4 / 8).
    assert parts.l1.item() == pytest.approx(math.log(2), rel=1e-5)
    assert parts.total.item() == pytest.approx(sum(part.item() for part in parts[1:]))


def test_l1_is_left_out_unless_asked_for() -> None:
    raw = predictions([(12, 4, 8, 4)] * 4)

    assert losses(raw, [(12, 4, 8, 8)], [0]).l1.item() == 0.0


def test_sums_are_divided_by_the_answering_locations_of_the_whole_batch() -> None:
    raw = predictions([(12, 4, 8, 8)] * 4)
    twice = RawDetections(*(part.repeat(2, 1, 1) for part in raw))
    box, labels = torch.tensor([[[12.0, 4, 8, 8]]]), torch.tensor([[1]])

    once = detection_loss(raw, ROW, box, labels, l1=False)
    both = detection_loss(twice, ROW, box.repeat(2, 1, 1), labels.repeat(2, 1), l1=False)

    assert [part.item() for part in both] == pytest.approx([part.item() for part in once])


def test_columns_without_a_box_are_ignored() -> None:
    raw = predictions([(12, 4, 8, 8)] * 4)

    padded = losses(raw, [(0, 0, 0, 0), (12, 4, 8, 8), (5, 5, 5, 5)], [-1, 1, -1])

    assert padded.total.item() == losses(raw, [(12, 4, 8, 8)], [1]).total.item()


@pytest.mark.parametrize("columns", [0, 3])
def test_images_without_boxes_teach_that_nothing_is_there(columns: int) -> None:
    raw = predictions([(12, 4, 8, 8)] * 4)
    for part in raw:
        part.requires_grad_()

    parts = losses(raw, [(0.0, 0.0, 0.0, 0.0)] * columns, [-1] * columns, l1=True)
    parts.total.backward()

    assert (parts.box.item(), parts.classes.item(), parts.l1.item()) == (0.0, 0.0, 0.0)
    assert parts.objectness.item() == pytest.approx(4 * math.log(2))
    assert raw.objectness.grad is not None
    assert (raw.objectness.grad > 0).all()


def test_empty_image_beside_a_full_one() -> None:
    raw = RawDetections(*(part.repeat(2, 1, 1) for part in predictions([(12, 4, 8, 8)] * 4)))
    boxes = torch.tensor([[[12.0, 4, 8, 8]], [[0.0, 0, 0, 0]]])

    loss = detection_loss(raw, ROW, boxes, torch.tensor([[0], [-1]]), l1=False)

    assert loss.box.item() == pytest.approx(0.0, abs=1e-5)
    # Two locations answer (three overlaps of 1, as the box has 3 candidates: three locations).
    assert loss.objectness.item() == pytest.approx(8 * math.log(2) / 3, rel=1e-5)


def wild_boxes(kind: str) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    spread = torch.rand(2, 500, 4, generator=draw) * 64
    if kind == "500":
        return spread
    if kind == "tiny":
        return spread * torch.tensor([1.0, 1.0, 1e-4, 1e-4])
    if kind == "without area":
        return spread * torch.tensor([1.0, 1.0, 0.0, 0.0])
    if kind == "outside":
        return spread * 100 - torch.tensor([3000.0, 3000.0, 0.0, 0.0])
    return torch.full((2, 500, 4), 20.0)


@pytest.mark.parametrize("kind", ["500", "tiny", "without area", "outside", "identical"])
@pytest.mark.parametrize("size", [1.0, 1e3], ids=["usual answers", "wild answers"])
def test_wild_boxes_give_numbers_and_finite_gradients(kind: str, size: float) -> None:
    draw = torch.Generator().manual_seed(1)
    grid = Grid.of(64, 64, (8, 16, 32))
    raw = RawDetections(
        *(
            (torch.randn(2, len(grid.strides), count, generator=draw) * size).requires_grad_()
            for count in (4, 1, 3)
        )
    )
    labels = torch.randint(0, 3, (2, 500), generator=draw)

    loss = detection_loss(raw, grid, wild_boxes(kind), labels, l1=True)
    loss.total.backward()

    assert loss.total.isfinite()
    assert all(part.grad is not None and part.grad.isfinite().all() for part in raw)


def test_a_step_against_the_gradient_improves_box_class_and_objectness() -> None:
    raw = predictions([(100, 4, 8, 8), (14, 4, 8, 8), (100, 4, 8, 8), (100, 4, 8, 8)])
    for part in raw:
        part.requires_grad_()

    losses(raw, [(12, 4, 8, 8)], [0]).total.backward()

    offsets, objectness, classes = (part.grad for part in raw)
    assert offsets is not None
    assert objectness is not None
    assert classes is not None
    assert offsets[0, 1, 0] > 0  # the box has to move left
    assert objectness[0, :, 0].sign().tolist() == [1.0, -1.0, 1.0, 1.0]
    assert classes[0, 1].sign().tolist() == [-1.0, 1.0]
    assert not offsets[0, [0, 2, 3]].any()


@pytest.mark.parametrize(
    ("boxes", "labels", "message"),
    [
        ((1, 2, 4), (1, 3), r"boxes \(1, 2, 4\) and labels \(1, 3\) must be \(N, T, 4\) and"),
        ((2, 2, 4), (2, 2), r"must be .* for N = 1 images"),
    ],
    ids=["columns", "images"],
)
def test_labels_that_do_not_fit_are_refused(
    boxes: tuple[int, ...], labels: tuple[int, ...], message: str
) -> None:
    raw = predictions([(12, 4, 8, 8)] * 4)

    with pytest.raises(ValueError, match=message):
        detection_loss(raw, ROW, torch.zeros(boxes), torch.zeros(labels).long(), l1=False)


def test_grid_of_another_input_is_refused() -> None:
    raw = predictions([(12, 4, 8, 8)] * 4)

    with pytest.raises(ValueError, match="predicts at 4 locations, the grid has 8"):
        detection_loss(
            raw, Grid.of(16, 32, (8,)), torch.zeros(1, 0, 4), torch.zeros(1, 0).long(), l1=False
        )


def test_network_learns_one_image_by_heart() -> None:
    module = FAMILIES.load("yolox_nano").build(width=0.25, num_classes=2, seed=0)
    images = torch.full((2, 3, 64, 64), 90.0)
    images[0, :, 8:32, 8:40] = 250.0
    images[1, 0, 30:60, 20:50] = 0.0
    boxes = torch.tensor([[[24.0, 20, 32, 24]], [[35.0, 45, 30, 30]]])
    labels = torch.tensor([[0], [1]])
    grid = Grid.of(64, 64, (8, 16, 32))
    optimizer = torch.optim.AdamW(module.parameters(), lr=5e-3)
    totals = []
    for _ in range(80):
        loss = detection_loss(module(images), grid, boxes, labels, l1=False).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        totals.append(loss.item())

    with torch.inference_mode():
        raw = module(images)
    best = (raw.objectness.sigmoid() * raw.classes.sigmoid()).amax(dim=2).argmax(dim=1)
    decoded = to_corners(decode(raw.offsets, grid))[torch.arange(2), best]
    assert totals[-1] < totals[0] / 3
    assert (decoded - to_corners(boxes[:, 0])).abs().max() < 6
    assert raw.classes[torch.arange(2), best].argmax(dim=1).tolist() == [0, 1]
