from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgetl.data.box_batches import (
    NO_BOX,
    BoxBatch,
    BoxBatches,
    PlacedImages,
    Unseen,
    count_unseen,
    plain_batches,
)
from edgetl.data.boxes_augment import VARIATIONS, Variation
from edgetl.data.dataset import IMAGES_FILE, Dataset, Item, Truth, write_images, write_index
from edgetl.runtime.preprocess import Preprocess, fit_image
from edgetl.types import Split

SIZE = 64
MOSAIC = replace(VARIATIONS["strong"], mosaic=1.0, mixup=0.5)
Make = Callable[..., Dataset]


def truth(*boxes: tuple[float, float, float, float], crowd: int = 0) -> Truth:
    """Return boxes of classes 0, 1, ...; the last `crowd` of them are crowds."""
    is_crowd = np.arange(len(boxes)) >= len(boxes) - crowd
    return Truth(np.array(boxes, np.float32).reshape(-1, 4), np.arange(len(boxes)), is_crowd)


@pytest.fixture
def dataset(tmp_path: Path) -> Make:
    """Return what stores images of 80 x 120 pixels, given what is labelled on each."""

    def make(*truths: Truth, fit: str = "letterbox", anchor: str = "centre") -> Dataset:
        preprocess = Preprocess(SIZE, SIZE, fit, "bilinear", 114, anchor)
        draw = np.random.default_rng(0)
        images = []
        for found in truths:
            image = draw.integers(0, 60, (80, 120, 3), np.uint8)
            for x0, y0, x1, y1 in found.boxes.astype(int).tolist():
                image[y0:y1, x0:x1] = 250
            images.append(fit_image(image, preprocess))
        with (tmp_path / IMAGES_FILE).open("wb") as file:
            write_images(file, images, (len(images), SIZE, SIZE, 3))
        items = [Item(f"{row}.png", 0, f"{row:064x}") for row in range(len(images))]
        write_index(
            tmp_path,
            task="detection",
            classes=("a", "b", "c"),
            preprocess=preprocess,
            items={Split.TRAIN: items, Split.VAL: [], Split.TEST: []},
            dropped=[],
            truths={Split.TRAIN: truths, Split.VAL: [], Split.TEST: []},
            image_sizes={Split.TRAIN: [(80, 120)] * len(images), Split.VAL: [], Split.TEST: []},
        )
        return Dataset.open(tmp_path)

    return make


def several(make: Make) -> Dataset:
    return make(*(truth((10 + row, 12, 50 + row, 60)) for row in range(7)), truth())


def batches(
    dataset: Dataset,
    variation: Variation = MOSAIC,
    *,
    batch_size: int = 3,
    seed: int = 1,
    no_aug_from: int | None = None,
    threads: int = 0,
) -> BoxBatches:
    return BoxBatches(
        dataset,
        batch_size=batch_size,
        seed=seed,
        variation=variation,
        no_aug_from=no_aug_from,
        threads=threads,
    )


def same(first: BoxBatch, second: BoxBatch) -> bool:
    return (
        np.array_equal(first.images, second.images)
        and np.array_equal(first.boxes, second.boxes)
        and np.array_equal(first.labels, second.labels)
    )


def test_placed_image_has_no_padding_and_boxes_of_its_own_pixels(dataset: Make) -> None:
    image = PlacedImages(dataset(truth((30, 15, 90, 60))), Split.TRAIN)[0]

    # 120 x 80 becomes 64 x 43: a border of 10 above and 11 below.
    assert (image.left, image.top) == (0, 10)
    assert image.scene.pixels.shape == (43, 64, 3)
    np.testing.assert_allclose(
        image.scene.boxes[0], [30 * 64 / 120, 15 * 43 / 80, 90 * 64 / 120, 60 * 43 / 80], atol=1e-4
    )


@pytest.mark.parametrize(
    ("fit", "anchor"),
    [("letterbox", "centre"), ("letterbox", "top-left"), ("stretch", "centre"), ("crop", "centre")],
)
def test_plain_batches_are_the_stored_images_with_boxes_round_their_objects(
    dataset: Make, fit: str, anchor: str
) -> None:
    data = dataset(truth((30, 15, 90, 60)), truth(), fit=fit, anchor=anchor)

    [(start, batch)] = list(plain_batches(data, Split.TRAIN, batch_size=4))

    assert start == 0
    assert np.array_equal(batch.images, data.images(Split.TRAIN))
    rows, columns = np.nonzero(batch.images[0].min(axis=2) > 180)
    box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose(batch.boxes[0, 0], box, atol=1.0)
    assert batch.labels.tolist() == [[0], [NO_BOX]]
    assert not batch.no_aug


def test_crop_drops_boxes_that_it_cuts_away(dataset: Make) -> None:
    data = dataset(truth((0, 10, 15, 60), (40, 10, 80, 60)), fit="crop")

    [(_, batch)] = list(plain_batches(data, Split.TRAIN, batch_size=4))

    assert batch.labels.tolist() == [[1]]


def test_crowds_are_not_trained_on(dataset: Make) -> None:
    data = dataset(truth((10, 10, 50, 50), (60, 10, 100, 50), crowd=1))

    [(_, batch)] = list(plain_batches(data, Split.TRAIN, batch_size=4))

    assert batch.labels.tolist() == [[0]]


def test_plain_batches_keep_the_order_and_the_last_one_is_smaller(dataset: Make) -> None:
    found = list(plain_batches(several(dataset), Split.TRAIN, batch_size=3))

    assert [(start, len(batch.images)) for start, batch in found] == [(0, 3), (3, 3), (6, 2)]


def test_same_seed_and_epoch_give_the_same_batches_and_others_do_not(dataset: Make) -> None:
    data = several(dataset)

    first, again, later, other = (
        list(batches(data, seed=seed).epoch(epoch))
        for seed, epoch in ((1, 0), (1, 0), (1, 1), (2, 0))
    )

    assert all(map(same, first, again))
    assert not any(map(same, first, later))
    assert not any(map(same, first, other))


def test_threads_change_nothing(dataset: Make) -> None:
    data = several(dataset)

    alone, helped = (list(batches(data, threads=threads).epoch(3)) for threads in (0, 3))

    assert len(alone) == 2
    assert all(map(same, alone, helped))


def test_sample_does_not_depend_on_the_batch_size(dataset: Make) -> None:
    data = several(dataset)

    by_two, by_four = (
        np.concatenate([batch.images for batch in batches(data, batch_size=size).epoch(0)])
        for size in (2, 4)
    )

    assert np.array_equal(by_two, by_four)


def test_closing_epochs_have_neither_mosaic_nor_mixup(dataset: Make) -> None:
    data = several(dataset)
    no_aug = batches(data, no_aug_from=2)
    never = batches(data, replace(MOSAIC, mosaic=0.0, mixup=0.0))

    before, after = (next(no_aug.epoch(epoch)) for epoch in (1, 2))

    assert not before.no_aug
    assert after.no_aug
    assert same(after, next(never.epoch(2)))
    assert before.labels.shape[1] > 1
    assert after.labels.shape[1] == 1


def test_background_images_take_part_and_a_batch_of_them_has_no_boxes(dataset: Make) -> None:
    [batch] = list(batches(dataset(truth(), truth()), VARIATIONS["light"], batch_size=2).epoch(0))

    assert batch.images.shape == (2, SIZE, SIZE, 3)
    assert batch.boxes.shape == (2, 0, 4)


def test_fewer_images_than_a_batch_are_one_batch(dataset: Make) -> None:
    found = list(batches(dataset(truth((1, 1, 40, 40)))).epoch(0))

    assert [len(batch.images) for batch in found] == [1]


def test_boxes_that_are_not_seen_are_counted() -> None:
    """An image of 32 x 64 in an input of 32: letterbox halves it, crop shows columns 16 to 48."""
    labelled = truth(
        (20, 10, 23, 20),  # 3 px wide
        (20, 10, 21, 20),  # 1 px wide
        (0, 0, 10, 10),  # outside of the crop
        (8, 0, 18, 10),  # a fifth is inside
        (10, 0, 20, 10),  # two fifths are
        (30, 10, 30.5, 20),  # a crowd
        crowd=1,
    )
    expected = {
        "letterbox": Unseen(10, 4, 0),
        "stretch": Unseen(10, 4, 0),
        "crop": Unseen(10, 2, 4),
    }
    for fit, unseen in expected.items():
        preprocess = Preprocess(32, 32, fit, "bilinear", 0)
        assert count_unseen([labelled] * 2, [(32, 64)] * 2, preprocess) == unseen
