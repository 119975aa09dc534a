from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from edgetl.data.container import open_container
from edgetl.data.sources import SOURCES, list_samples
from edgetl.errors import DataError
from edgetl.tasks import TASKS
from edgetl.types import Split

Write = Callable[[Mapping[str, bytes | None]], Path]
TASK = TASKS.load("classification").data


def test_class_is_what_stands_in_front_of_the_number(tree: Write) -> None:
    names = [
        *("train/cat.0.jpg", "train/cat.1.jpg", "train/american_bulldog_2.jpg"),
        *("train/american_bulldog_3.jpg", "train/Old Dog (4).jpg", "train/Old Dog (5).jpg"),
    ]
    listed = list_samples(open_container(tree(dict.fromkeys(names, b""))), "images", TASK)
    assert listed.layout == "file_names"
    assert {sample.name: sample.label for sample in listed.samples} == {
        "train/cat.0.jpg": "cat",
        "train/cat.1.jpg": "cat",
        "train/american_bulldog_2.jpg": "american_bulldog",
        "train/american_bulldog_3.jpg": "american_bulldog",
        "train/Old Dog (4).jpg": "Old Dog",
        "train/Old Dog (5).jpg": "Old Dog",
    }
    assert {sample.split for sample in listed.samples} == {Split.TRAIN}


def test_images_without_a_class_in_their_name_are_named(tree: Write) -> None:
    names = ["cat.0", "cat.1", "dog.0", "dog.1"]
    files = {f"train/{name}.jpg": b"" for name in names} | {"test1/1.jpg": b""}
    root = tree(files)
    listed = list_samples(open_container(root), "images", TASK)
    assert listed.unlabelled == ("test1/1.jpg",)
    container = open_container(root, exclude=("test1/*",))
    assert list_samples(container, "images", TASK).unlabelled == ()


@pytest.mark.parametrize(
    "names",
    [
        ["IMG_1", "IMG_2", "DSC_1", "DSC_2"],
        ["camera1_1", "camera1_2", "camera2_1", "camera2_2"],
        ["cat_1", "cat_2"],
        ["cat_1", "cat_2", "dog_1"],
        ["train_1", "train_2", "cat_1", "cat_2"],
        ["1", "2", "3", "cat_1", "cat_2"],
    ],
    ids=["cameras", "numbered cameras", "one class", "single image", "split", "mostly numbers"],
)
def test_names_without_classes_are_not_read(tree: Write, names: list[str]) -> None:
    root = tree({f"images/{name}.jpg": b"" for name in names})
    with pytest.raises(DataError, match="'images' is a folder for images, not a class"):
        list_samples(open_container(root), "images", TASK)


def test_class_folders_are_preferred(tree: Write) -> None:
    files = {f"{label}/{word}_{k}.jpg": b""
             for label in ("x", "y") for word in ("cat", "dog") for k in (1, 2)}  # fmt: skip
    container = open_container(tree(files))
    assert not SOURCES.load("file_names").recognises(container)
    assert list_samples(container, "images", TASK).classes == ("x", "y")


def test_label_file_is_preferred(tree: Write) -> None:
    files: dict[str, bytes | None] = {
        f"images/{word}_{k}.jpg": b"" for word in ("cat", "dog") for k in (1, 2)
    }
    rows = "".join(f"{name[7:]},animal {name[7]}\n" for name in files)
    table = f"file,label\n{rows}".encode()
    listed = list_samples(open_container(tree({**files, "x.csv": table})), "images", TASK)
    assert listed.classes == ("animal c", "animal d")


def test_lists_name_the_splits(tree: Write) -> None:
    names = [f"{label}_{k}" for label in ("Abyssinian", "beagle") for k in range(3)]
    files = {f"images/{name}.jpg": b"" for name in names}
    files["lists/trainval.txt"] = b"Abyssinian_0 1 1 1\nbeagle_0 2 1 1\nbeagle_1 2 1 1\n"
    files["lists/test.txt"] = b"Abyssinian_1 1 1 1\nbeagle_2 2 1 1\n"
    listed = list_samples(open_container(tree(files)), "images", TASK)
    assert (listed.layout, listed.classes) == ("file_names", ("Abyssinian", "beagle"))
    assert {sample.name[7:-4]: sample.split for sample in listed.samples} == {
        "Abyssinian_0": Split.TRAIN,
        "beagle_0": Split.TRAIN,
        "beagle_1": Split.TRAIN,
        "Abyssinian_1": Split.TEST,
        "beagle_2": Split.TEST,
    }
    assert listed.labels == ("lists/test.txt", "lists/trainval.txt")
    assert listed.unlisted == ("images/Abyssinian_2.jpg",)


@pytest.mark.parametrize("form", ["{split}_{label}_{k}", "{label}-{split}-{k}"])
def test_split_in_every_name_is_no_part_of_the_class(tree: Write, form: str) -> None:
    files = {
        f"images/{form.format(split=split, label=label, k=k)}.jpg": b""
        for split in ("train", "test")
        for label in ("red nut", "dog")
        for k in range(2)
    }
    listed = list_samples(open_container(tree(files)), "images", TASK)
    assert listed.classes == ("dog", "red nut")
    assert all(
        (sample.split is Split.TRAIN) == ("train" in sample.name) and sample.label in sample.name
        for sample in listed.samples
    )
    assert listed.given == {Split.TRAIN, Split.TEST}
