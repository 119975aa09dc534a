"""Images with boxes to train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgetl.data.dataset import IMAGES_FILE, Dataset, Item, Truth, write_images, write_index
from edgetl.runtime.preprocess import Preprocess
from edgetl.types import Split


@pytest.fixture
def squares(tmp_path: Path) -> Dataset:
    """Return images of 64 px: bright squares (class 0) and dark ones (class 1) on grey noise."""
    counts = {Split.TRAIN: 12, Split.VAL: 4, Split.TEST: 4}
    draw = np.random.default_rng(0)
    images: list[NDArray[np.uint8]] = []
    truths: dict[Split, list[Truth]] = {split: [] for split in Split}
    for split, count in counts.items():
        for _ in range(count):
            image = draw.integers(100, 140, (64, 64, 3), np.uint8)
            labels = draw.integers(0, 2, int(draw.integers(0, 3)))
            boxes = []
            for half, label in enumerate(labels.tolist()):
                x, y, side = 32 * half + draw.integers(0, 8), draw.integers(0, 36), 24
                image[y : y + side, x : x + side] = 20 + 220 * (1 - label)
                boxes.append((x, y, x + side, y + side))
            images.append(image)
            truths[split].append(
                Truth(
                    np.array(boxes, np.float32).reshape(-1, 4), labels, np.zeros(len(boxes), bool)
                )
            )
    with (tmp_path / IMAGES_FILE).open("wb") as file:
        write_images(file, images, (len(images), 64, 64, 3))
    write_index(
        tmp_path,
        task="detection",
        classes=("bright", "dark"),
        preprocess=Preprocess(64, 64, "stretch", "bilinear", 0),
        items={
            split: [Item(f"{split}-{row}.png", 0, f"{row:064x}") for row in range(count)]
            for split, count in counts.items()
        },
        dropped=[],
        truths=truths,
        image_sizes={split: [(64, 64)] * count for split, count in counts.items()},
    )
    return Dataset.open(tmp_path)
