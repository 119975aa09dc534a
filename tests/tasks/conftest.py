"""Datasets of a few images with labels from the test; one thread, as it decides the last bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgetl.data.dataset import (
    IMAGES_FILE,
    Dataset,
    Item,
    Truth,
    write_images,
    write_index,
)
from edgetl.evaluation import Predictions
from edgetl.runtime.preprocess import Preprocess
from edgetl.types import Split

SIZE = 64
CLASSES = ("nut", "bolt", "gear")

Box = tuple[float, float, float, float, int]
"""xyxy and class."""
Found = tuple[float, float, float, float, int, float]
"""xyxy, class and score."""


def _write(
    folder: Path,
    labels: Sequence[int],
    truths: Sequence[Truth] | None,
    train: Sequence[Truth] = (),
) -> None:
    folder.mkdir(parents=True)
    count = len(train) + len(labels)
    images = np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)
    with (folder / IMAGES_FILE).open("wb") as file:
        write_images(file, iter(images), images.shape)
    test = [Item(f"image-{i}.jpg", label, f"{i:064x}") for i, label in enumerate(labels)]
    trained = [Item(f"train-{i}.jpg", 0, f"{1000 + i:064x}") for i in range(len(train))]
    boxes: dict[str, Any] = {}
    if truths is not None:  # twice as wide as high, and twice as large as the input
        known = {Split.TRAIN: train, Split.VAL: (), Split.TEST: truths}
        size = (SIZE, 2 * SIZE)
        boxes = {
            "truths": known,
            "image_sizes": {split: [size] * len(each) for split, each in known.items()},
        }
    write_index(
        folder,
        task="classification" if truths is None else "detection",
        classes=CLASSES,
        preprocess=Preprocess(SIZE, SIZE, "letterbox", "bilinear", 114),
        items={Split.TRAIN: trained, Split.VAL: [], Split.TEST: test},
        dropped=[],
        **boxes,
    )


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def labelled(tmp_path: Path) -> Callable[[Sequence[int]], Dataset]:
    """Return a function that creates a classification dataset from the labels of test images."""

    def make(labels: Sequence[int]) -> Dataset:
        folder = tmp_path / "labelled" / "-".join(map(str, labels))
        _write(folder, labels, None)
        return Dataset.open(folder)

    return make


@pytest.fixture
def boxed(tmp_path: Path) -> Callable[..., Dataset]:
    """Return a function that creates a dataset of 64 x 128 test images from their objects.

    `crowd` gives the positions of those that are groups, by image; `train` the objects on images to
    train on.
    """

    def make(
        *images: Sequence[Box],
        crowd: Mapping[int, Sequence[int]] | None = None,
        train: Sequence[Sequence[Box]] = (),
    ) -> Dataset:
        truths = []
        for i, boxes in enumerate(images):
            rows = np.array(boxes, np.float32).reshape(-1, 5)
            grouped = np.isin(np.arange(len(rows)), list((crowd or {}).get(i, ())))
            truths.append(Truth(rows[:, :4], rows[:, 4].astype(np.int64), grouped))
        labels = [int(each.labels[0]) if len(each.labels) else len(CLASSES) for each in truths]
        tables = [np.array(boxes, np.float32).reshape(-1, 5) for boxes in train]
        known = [Truth(t[:, :4], t[:, 4].astype(np.int64), np.zeros(len(t), bool)) for t in tables]
        _write(tmp_path / "boxed", labels, truths, known)
        return Dataset.open(tmp_path / "boxed")

    return make


@pytest.fixture
def predictions() -> Callable[..., Predictions]:
    """Return a function that creates predictions from the detections on each image."""

    def make(*images: Sequence[Found]) -> Predictions:
        rows = np.array([row for image in images for row in image], np.float64).reshape(-1, 6)
        return {
            "boxes": rows[:, :4].astype(np.float32),
            "scores": rows[:, 5].astype(np.float32),
            "labels": rows[:, 4].astype(np.int64),
            "offsets": np.cumsum([0, *(len(image) for image in images)]),
        }

    return make
