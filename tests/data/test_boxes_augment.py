"""Boxes must stay where their objects are: rectangles are drawn, changed, and looked for again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from edgetl.data.boxes_augment import (
    NUM_DRAWS,
    VARIATIONS,
    Placed,
    Scene,
    Variation,
    change,
    draw,
    keep_seen,
    mirror,
    mix,
    mosaic,
    move,
    recolour,
)

SIZE = 96
PAD = 114
RED = (250, 10, 10)
COLOURS = (RED, (10, 250, 10), (10, 10, 250), (250, 250, 10), (10, 250, 250))


def scene(
    box: tuple[int, int, int, int], label: int = 0, *, height: int = SIZE, width: int = SIZE
) -> Scene:
    """Return one rectangle in the colour of its label on black."""
    pixels = np.zeros((height, width, 3), np.uint8)
    x0, y0, x1, y1 = box
    pixels[y0:y1, x0:x1] = COLOURS[label]
    return Scene(pixels, np.array([box], np.float32), np.array([label]))


def found(pixels: NDArray[np.uint8], label: int) -> list[int]:
    """Return the box round all pixels that are nearest to a label's colour, and near to it."""
    distance = np.abs(pixels.astype(int) - COLOURS[label]).max(axis=2)
    rows, columns = np.nonzero(distance < 110)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_image_without_any_change_is_itself_with_its_padding() -> None:
    image = Placed(scene((10, 20, 50, 40), height=64), 0, 16, (0, 16, 96, 64))

    got = move(image, Variation(), np.array([0.9, 0.1, 0.1]), size=SIZE, pad=PAD)

    assert (got.pixels[16:80] == image.scene.pixels).all()
    assert (got.pixels[:16] == PAD).all()
    assert (got.pixels[80:] == PAD).all()
    assert got.boxes.tolist() == [[10, 36, 50, 56]]


def test_mirror_turns_pixels_and_boxes_over() -> None:
    got = mirror(scene((10, 20, 50, 40)))

    assert got.boxes.tolist() == [[46, 20, 86, 40]]
    assert found(got.pixels, 0) == [46, 20, 86, 40]


@pytest.mark.parametrize("scale", [0.5, 0.75, 1.0, 1.5])
@pytest.mark.parametrize("place", [(0.0, 0.0), (7.3, -11.6), (-20.0, 5.5)])
def test_drawn_rectangle_is_where_its_box_says(scale: float, place: tuple[float, float]) -> None:
    canvas = np.full((SIZE, SIZE, 3), PAD, np.uint8)

    boxes, labels = draw(
        canvas,
        scene((30, 24, 54, 56)),
        scale=scale,
        left=place[0],
        top=place[1],
        clip=(0, 0, SIZE, SIZE),
    )

    assert labels.tolist() == [0]
    np.testing.assert_allclose(boxes[0], found(canvas, 0), atol=1.0)
    expected = np.array([30, 24, 54, 56]) * scale + np.array([*place, *place])
    np.testing.assert_allclose(boxes[0], np.clip(expected, 0, SIZE), atol=1e-4)


def test_drawing_stays_in_its_rectangle_and_boxes_end_there() -> None:
    canvas = np.full((SIZE, SIZE, 3), PAD, np.uint8)

    boxes, _ = draw(canvas, scene((0, 0, 96, 96)), scale=1.0, left=0, top=0, clip=(40, 10, 96, 90))

    assert found(canvas, 0) == [40, 10, 96, 90]
    assert (canvas[:, :40] == PAD).all()
    assert boxes.tolist() == [[40, 10, 96, 90]]


def test_image_out_of_sight_changes_nothing() -> None:
    canvas = np.full((SIZE, SIZE, 3), PAD, np.uint8)

    boxes, labels = draw(
        canvas, scene((0, 0, 9, 9)), scale=1.0, left=200, top=0, clip=(0, 0, SIZE, SIZE)
    )

    assert boxes.shape == (0, 4)
    assert labels.shape == (0,)
    assert (canvas == PAD).all()


def test_boxes_that_lose_more_than_three_quarters_or_nearly_a_side_are_dropped() -> None:
    boxes = np.array(
        [
            [-29, 0, 10, 40],  # 10 of 39 columns: a quarter and a bit
            [-31, 0, 10, 40],  # 10 of 41 columns: less than a quarter
            [-1.5, 10, 1.5, 20],  # half, but only 1.5 wide
            [20, 20, 40, 40],
            [200, 200, 220, 220],
        ],
        np.float32,
    )

    kept, labels = keep_seen(boxes, np.arange(5), (0, 0, SIZE, SIZE))

    assert labels.tolist() == [0, 3]
    assert kept.tolist() == [[0, 0, 10, 40], [20, 20, 40, 40]]


@pytest.mark.parametrize("seed", range(12))
def test_moved_rectangle_is_where_its_box_says(seed: int) -> None:
    image = Placed(scene((30, 20, 60, 50), height=72), 0, 12, (0, 12, 96, 72))

    got = move(image, VARIATIONS["strong"], rng(seed).random(3), size=SIZE, pad=PAD)

    assert got.pixels.shape == (SIZE, SIZE, 3)
    for box, label in zip(got.boxes, got.labels.tolist(), strict=True):
        np.testing.assert_allclose(box, found(got.pixels, label), atol=1.0)


@pytest.mark.parametrize("seed", range(12))
def test_rectangles_of_a_mosaic_are_where_their_boxes_say(seed: int) -> None:
    four = [scene((20 + 4 * label, 24, 60, 64), label) for label in range(4)]
    draws = rng(seed)

    got = mosaic(four, (0.5, 1.5), draws.random(2), draws.random((4, 3)), size=SIZE, pad=PAD)

    for box, label in zip(got.boxes, got.labels.tolist(), strict=True):
        np.testing.assert_allclose(box, found(got.pixels, label), atol=1.0)
    # What is not in the boxes any more is not on the picture, or only a sliver of it.
    for label in set(range(4)) - set(got.labels.tolist()):
        left = np.abs(got.pixels.astype(int) - COLOURS[label]).max(axis=2) < 60
        assert left.sum() < 0.25 * 40 * 40 * 1.5**2


def test_mosaic_of_whole_images_shows_all_four() -> None:
    four = [scene((20, 24, 60, 64), label) for label in range(4)]

    got = mosaic(four, (0.25, 0.25), np.array([0.5, 0.5]), np.full((4, 3), 0.5), size=SIZE, pad=PAD)

    # Quarters of 48 pixels, images of 24 in their middles: 20 / 4 + 12 = 17, 24 / 4 + 12 = 18.
    assert got.labels.tolist() == [0, 1, 2, 3]
    assert got.boxes.tolist() == [
        [17, 18, 27, 28],
        [65, 18, 75, 28],
        [17, 66, 27, 76],
        [65, 66, 75, 76],
    ]


def test_mixed_images_are_halves_with_the_boxes_of_both() -> None:
    got = mix(scene((0, 0, 10, 10)), scene((50, 50, 60, 60), 1))

    assert got.pixels[5, 5].tolist() == [125, 5, 5]
    assert got.pixels[55, 55].tolist() == [5, 125, 5]
    assert got.boxes.tolist() == [[0, 0, 10, 10], [50, 50, 60, 60]]
    assert got.labels.tolist() == [0, 1]


def test_colours_turn_and_greys_only_brighten() -> None:
    grey = Scene(np.full((4, 4, 3), 100, np.uint8), np.empty((0, 4), np.float32), np.empty(0, int))
    variation = Variation(hue=10.0, saturation=0.5, brightness=0.2)

    brighter = recolour(grey, variation, np.array([0.9, 0.9, 1.0]))
    red = recolour(scene((0, 0, 96, 96)), variation, np.array([1.0, 0.5, 0.5]))

    assert np.abs(brighter.pixels.astype(int) - 120).max() <= 1
    assert red.pixels[0, 0].tolist() != list(RED)
    assert np.abs(red.pixels[0, 0].astype(int) - RED).max() < 60


def test_middle_of_all_draws_leaves_colours_alone() -> None:
    before = scene((10, 20, 50, 40))

    after = recolour(before, VARIATIONS["strong"], np.full(3, 0.5))

    assert np.abs(after.pixels.astype(int) - before.pixels).max() <= 1


@pytest.mark.parametrize(
    "variation",
    [*VARIATIONS.values(), replace(VARIATIONS["strong"], mosaic=1.0, mixup=1.0)],
    ids=[*VARIATIONS, "mosaic and mixup"],
)
def test_sample_is_of_one_size_and_its_boxes_lie_inside(variation: Variation) -> None:
    images = [
        Placed(scene((20, 10, 60, 50), label, height=64), 0, 16, (0, 16, 96, 64))
        for label in range(5)
    ]
    partners = images[1 : 1 + variation.num_partners]
    for seed in range(8):
        draws = rng(seed).random(NUM_DRAWS + 3 * (1 + len(partners)))

        got = change(images[0], partners, variation, draws, size=SIZE, pad=PAD)

        assert got.pixels.shape == (SIZE, SIZE, 3)
        assert got.pixels.dtype == np.uint8
        assert got.boxes.dtype == np.float32
        assert len(got.boxes) == len(got.labels)
        assert (got.boxes >= 0).all()
        assert (got.boxes <= SIZE).all()


def test_image_without_boxes_stays_without() -> None:
    empty = Scene(
        np.zeros((SIZE, SIZE, 3), np.uint8), np.empty((0, 4), np.float32), np.empty(0, int)
    )

    got = change(
        Placed(empty, 0, 0, (0, 0, SIZE, SIZE)),
        [],
        VARIATIONS["light"],
        rng(0).random(NUM_DRAWS + 3),
        size=SIZE,
        pad=0,
    )

    assert got.boxes.shape == (0, 4)
