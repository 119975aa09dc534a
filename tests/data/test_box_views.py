"""Views of images with boxes at two inputs: what both show is the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgetl.data.box_batches import BoxBatch, BoxBatches
from edgetl.data.boxes_augment import VARIATIONS, Variation
from edgetl.data.dataset import IMAGES_FILE, Dataset, Item, Truth, write_images, write_index
from edgetl.runtime.preprocess import Preprocess, fit_image, place
from edgetl.types import Split

HEIGHT, WIDTH = 80, 120
CORNERS = (30.0, 16.0, 78.0, 56.0)


def source(row: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / WIDTH
    planes = (40 + 150 * x, 40 + 150 * y, np.full_like(x, 20 + 20 * row))
    return np.stack(planes, axis=-1).astype(np.uint8)


def dataset(folder: Path, preprocess: Preprocess) -> Dataset:
    folder.mkdir()
    images = [fit_image(source(row), preprocess) for row in range(8)]
    with (folder / IMAGES_FILE).open("wb") as file:
        write_images(file, images, (8, preprocess.height, preprocess.width, 3))
    box = np.array([CORNERS], np.float32)
    truths = [Truth(box, np.array([0]), np.zeros(1, bool)) for _ in range(8)]
    write_index(
        folder,
        task="detection",
        classes=("part",),
        preprocess=preprocess,
        items={
            Split.TRAIN: [Item(f"{row}.png", 0, f"{row:064x}") for row in range(8)],
            Split.VAL: [],
            Split.TEST: [],
        },
        truths={Split.TRAIN: truths, Split.VAL: [], Split.TEST: []},
        image_sizes={Split.TRAIN: [(HEIGHT, WIDTH)] * 8, Split.VAL: [], Split.TEST: []},
    )
    return Dataset.open(folder)


def shown(
    data: Dataset, variation: Variation, *, views: int | None = None, epoch: int = 0
) -> BoxBatch:
    batches = BoxBatches(data, batch_size=8, seed=3, variation=variation, views=views)
    (batch,) = batches.epoch(epoch)
    return batch


def on_grid(image: NDArray[np.uint8], preprocess: Preprocess) -> NDArray[np.int64]:
    """Return the pixels of an input at points of a grid over the frame of its image."""
    placement = place(HEIGHT, WIDTH, preprocess)
    v, u = np.mgrid[0.05:0.95:15j, 0.05:0.95:15j]
    columns = np.floor(u * WIDTH * placement.scale_x + placement.left).astype(int)
    rows = np.floor(v * HEIGHT * placement.scale_y + placement.top).astype(int)
    points: NDArray[np.int64] = image[rows, columns].astype(np.int64)
    return points


@pytest.mark.parametrize("fit", ["letterbox", "stretch"])
def test_detectors_of_two_inputs_see_the_same_view(tmp_path: Path, fit: str) -> None:
    """The grey levels change by 150 over 120 columns: a pixel of the small input is 3 levels.

    Colours multiply that by up to 1.3, and both round; at the edge of an image that is scaled down
    one of the two shows grey already, so the middle of the differences is compared.
    """
    large = Preprocess(192, 192, "letterbox", "bilinear", 114, "top-left")
    small = Preprocess(64, 64, fit, "area", 114)
    seen = [
        shown(dataset(tmp_path / str(number), each), VARIATIONS["strong"])
        for number, each in enumerate((large, small))
    ]
    for row in range(8):
        points = [
            on_grid(batch.images[row], each)
            for batch, each in zip(seen, (large, small), strict=True)
        ]
        apart = np.abs(points[0] - points[1]).max(axis=-1)
        assert np.quantile(apart, 0.85) <= 8
        boxes = [
            place(HEIGHT, WIDTH, each).to_image(batch.boxes[row])
            for batch, each in zip(seen, (large, small), strict=True)
            if (batch.labels[row] == 0).all()
        ]
        if len(boxes) == 2 and fit == "stretch":
            inside = np.clip(boxes[0], 0, [[WIDTH, HEIGHT, WIDTH, HEIGHT]])
            np.testing.assert_allclose(inside, boxes[1], atol=4)


def test_mosaic_and_mixup_show_the_same_at_two_sizes(tmp_path: Path) -> None:
    everything = Variation(flip=True, scale=(0.8, 1.2), mosaic=1.0, mixup=1.0)
    sizes = (192, 96)
    seen = [
        shown(
            dataset(tmp_path / str(size), Preprocess(size, size, "stretch", "area", 114)),
            everything,
        )
        for size in sizes
    ]
    for row in range(8):
        smaller = seen[0].images[row].reshape(96, 2, 96, 2, 3).mean(axis=(1, 3))
        apart = np.abs(smaller - seen[1].images[row]).max(axis=-1)
        # Tiles end on whole pixels, so along their borders the two show different images.
        assert np.quantile(apart, 0.9) <= 4


def test_limited_views_come_back_and_others_do_not(tmp_path: Path) -> None:
    data = dataset(tmp_path / "one", Preprocess(64, 64, "stretch", "area", 114))

    def by_pixels(epoch: int, views: int | None) -> set[bytes]:
        batch = shown(data, VARIATIONS["light"], views=views, epoch=epoch)
        return {image.tobytes() for image in batch.images}

    assert by_pixels(0, 2) == by_pixels(2, 2) == by_pixels(0, None)
    assert by_pixels(1, 2) == by_pixels(1, None)
    assert by_pixels(2, None).isdisjoint(by_pixels(0, None))
