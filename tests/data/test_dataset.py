from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgetl.config.recipe import Leave
from edgetl.data.audit import Omission
from edgetl.data.dataset import IMAGES_FILE, INDEX_FILE, Dataset, Item, write_images, write_index
from edgetl.hashing import digest_folder
from edgetl.runtime.preprocess import Preprocess
from edgetl.types import Split

ITEMS = {
    Split.TRAIN: [Item("t/0", 1, "a0"), Item("t/1", 0, "a1")],
    Split.VAL: [Item("v/0", 0, "a2")],
    Split.TEST: [Item("e/0", 1, "a3"), Item("e/1", 1, "a4")],
}
PREPROCESS = Preprocess(4, 4, "letterbox", "area", 7)


def write(folder: Path, *, num_photos: int = 5) -> Path:
    folder.mkdir(exist_ok=True)
    photos = [np.full((4, 4, 3), 10 * k, np.uint8) for k in range(num_photos)]
    with (folder / IMAGES_FILE).open("wb") as file:
        write_images(file, photos, (num_photos, 4, 4, 3))
    write_index(
        folder,
        classes=("gear", "nut"),
        preprocess=PREPROCESS,
        items=ITEMS,
        omissions=[Omission("t/9", Leave.UNREADABLE, "cut short")],
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
    left_out = json.loads((tmp_path / INDEX_FILE).read_text())["left_out"]
    assert left_out == [{"kind": "unreadable", "name": "t/9", "reason": "cut short"}]


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
    write(tmp_path, num_photos=4)
    with pytest.raises(ValueError, match=r"lists 5 photos, images\.npy holds 4"):
        Dataset.open(tmp_path)


def test_dataset_and_choice_import_no_framework() -> None:
    code = (
        "import sys, edgetl.data.dataset, edgetl.data.choice, edgetl.data.drawn; "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
