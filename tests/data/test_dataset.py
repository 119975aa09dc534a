from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgetl.config.recipe import Drop
from edgetl.data.dataset import (
    ANNOTATIONS_FILE,
    IMAGES_FILE,
    INDEX_FILE,
    Dataset,
    Item,
    Truth,
    write_images,
    write_index,
)
from edgetl.data.findings import DroppedItem
from edgetl.hashing import digest_folder
from edgetl.runtime.preprocess import Preprocess
from edgetl.types import Split

ITEMS = {
    Split.TRAIN: [Item("t/0", 1, "a0"), Item("t/1", 0, "a1")],
    Split.VAL: [Item("v/0", 0, "a2")],
    Split.TEST: [Item("e/0", 1, "a3"), Item("e/1", 1, "a4")],
}
PREPROCESS = Preprocess(4, 4, "letterbox", "area", 7)


def write(folder: Path, *, num_images: int = 5) -> Path:
    folder.mkdir(exist_ok=True)
    images = [np.full((4, 4, 3), 10 * k, np.uint8) for k in range(num_images)]
    with (folder / IMAGES_FILE).open("wb") as file:
        write_images(file, images, (num_images, 4, 4, 3))
    write_index(
        folder,
        task="classification",
        classes=("gear", "nut"),
        preprocess=PREPROCESS,
        items=ITEMS,
        dropped=[DroppedItem("t/9", Drop.UNREADABLE, "cut short")],
    )
    return folder


def test_dataset_gives_back_what_was_written(tmp_path: Path) -> None:
    dataset = Dataset.open(write(tmp_path))
    assert dataset.classes == ("gear", "nut")
    assert dataset.size == 4
    assert dataset.preprocess == PREPROCESS
    assert dataset.names(Split.TEST) == ("e/0", "e/1")
    assert dataset.items(Split.VAL) == (Item("v/0", 0, "a2"),)
    assert dataset.labels(Split.TRAIN).tolist() == [1, 0]
    assert dataset.labels(Split.TRAIN).dtype == np.int64
    assert dataset.images(Split.TRAIN)[:, 0, 0, 0].tolist() == [0, 10]
    assert dataset.images(Split.VAL)[:, 0, 0, 0].tolist() == [20]
    assert dataset.images(Split.TEST)[:, 3, 3, 2].tolist() == [30, 40]
    dropped = json.loads((tmp_path / INDEX_FILE).read_text())["dropped"]
    assert dropped == [{"kind": "unreadable", "name": "t/9", "reason": "cut short"}]


def test_images_file_is_an_ordinary_npy_file(tmp_path: Path) -> None:
    images = np.load(write(tmp_path) / IMAGES_FILE)
    assert images.shape == (5, 4, 4, 3)
    assert images.dtype == np.uint8


def test_images_are_read_only_and_survive_a_release(tmp_path: Path) -> None:
    dataset = Dataset.open(write(tmp_path))
    images = dataset.images(Split.TEST)
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 1
    dataset.release()
    assert images[1, 0, 0].tolist() == [40, 40, 40]


def test_writing_again_gives_the_same_bytes(tmp_path: Path) -> None:
    assert digest_folder(write(tmp_path / "a")) == digest_folder(write(tmp_path / "b"))


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    write(tmp_path, num_images=4)
    with pytest.raises(ValueError, match=r"lists 5 images, images\.npy has 4"):
        Dataset.open(tmp_path)


def test_dataset_and_choice_import_no_framework() -> None:
    code = (
        "import sys, edgetl.data.dataset, edgetl.data.calibration_sampling; "
        "import edgetl.data.synthetic.part_images; "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


TRUTHS = {
    Split.TRAIN: [
        Truth(
            np.array([[0, 1, 2, 3.5], [4, 5, 6, 7]], np.float32),
            np.array([1, 0]),
            np.array([False, True]),
        ),
        Truth(np.empty((0, 4), np.float32), np.empty(0, np.int64), np.empty(0, np.bool_)),
    ],
    Split.VAL: [Truth(np.ones((1, 4), np.float32), np.array([0]), np.array([False]))],
    Split.TEST: [Truth(np.zeros((1, 4), np.float32), np.array([1]), np.array([False]))] * 2,
}
SIZES = {Split.TRAIN: [(9, 8), (7, 6)], Split.VAL: [(5, 4)], Split.TEST: [(3, 2), (1, 4000)]}


def write_boxes(folder: Path) -> Path:
    write(folder)
    write_index(
        folder,
        task="detection",
        classes=("gear", "nut"),
        preprocess=PREPROCESS,
        items=ITEMS,
        dropped=[],
        truths=TRUTHS,
        image_sizes=SIZES,
    )
    return folder


def test_detection_dataset_gives_boxes_and_image_sizes_back(tmp_path: Path) -> None:
    dataset = Dataset.open(write_boxes(tmp_path))
    assert dataset.task == "detection"
    first, second = dataset.truths(Split.TRAIN)
    assert first.boxes.tolist() == [[0, 1, 2, 3.5], [4, 5, 6, 7]]
    assert first.boxes.dtype == np.float32
    assert first.labels.dtype == np.int64
    assert first.crowd.dtype == np.bool_
    assert (first.labels.tolist(), first.crowd.tolist()) == ([1, 0], [False, True])
    assert second.boxes.shape == (0, 4)
    assert [truth.labels.tolist() for truth in dataset.truths(Split.TEST)] == [[1], [1]]
    assert dataset.image_sizes(Split.TEST).tolist() == [[3, 2], [1, 4000]]
    assert dataset.image_sizes(Split.VAL).dtype == np.int32


def test_classification_dataset_has_no_boxes(tmp_path: Path) -> None:
    dataset = Dataset.open(write(tmp_path))
    assert dataset.task == "classification"
    with pytest.raises(
        ValueError, match="a dataset for classification with role data has no boxes"
    ):
        dataset.truths(Split.TRAIN)
    # Nothing else was said, so the images had the size of the input.
    assert dataset.image_sizes(Split.TRAIN).tolist() == [[4, 4]] * 2


def test_writing_boxes_again_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = write_boxes(tmp_path / "a"), write_boxes(tmp_path / "b")
    assert digest_folder(one) == digest_folder(two)
    assert ANNOTATIONS_FILE in digest_folder(one)


def test_boxes_that_do_not_fit_the_items_are_refused(tmp_path: Path) -> None:
    few = TRUTHS | {Split.VAL: []}
    given: dict[str, Any] = {
        "task": "detection",
        "classes": ("gear",),
        "preprocess": PREPROCESS,
        "items": ITEMS,
        "dropped": [],
    }
    with pytest.raises(ValueError, match="val has 1 items, 0 truths and 1 image sizes"):
        write_index(tmp_path, **given, truths=few, image_sizes=SIZES)
    with pytest.raises(ValueError, match="the sizes of the images are missing"):
        write_index(tmp_path, **given, truths=TRUTHS)


def test_annotations_of_other_images_are_refused(tmp_path: Path) -> None:
    write_boxes(tmp_path / "a")
    few = {split: found[:1] for split, found in ITEMS.items()}
    write(tmp_path / "b", num_images=3)
    write_index(
        tmp_path / "b",
        task="detection",
        classes=("gear", "nut"),
        preprocess=PREPROCESS,
        items=few,
        dropped=[],
        truths={split: found[:1] for split, found in TRUTHS.items()},
        image_sizes={split: found[:1] for split, found in SIZES.items()},
    )
    (tmp_path / "b" / ANNOTATIONS_FILE).write_bytes(
        (tmp_path / "a" / ANNOTATIONS_FILE).read_bytes()
    )
    with pytest.raises(ValueError, match=r"lists 3 images, annotations\.npz 5"):
        Dataset.open(tmp_path / "b")
