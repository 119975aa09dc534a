"""COCO files without boxes give each image a class."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from edgetl.data.container import open_container
from edgetl.data.sources import Listing, guess_label_kind, list_samples
from edgetl.errors import DataError
from edgetl.tasks import TASKS
from edgetl.types import LabelKind, Split

Tree = Mapping[str, bytes | None]
Write = Callable[[Tree], Path]


def coco(images: Mapping[Any, str], *annotations: tuple[Any, Any], **more: object) -> bytes:
    """Return a file with images by id and annotations of an image and a category."""
    content = {
        "images": [{"id": key, "file_name": name} for key, name in images.items()],
        "annotations": [
            {"id": k, "image_id": image, "category_id": category, **more}
            for k, (image, category) in enumerate(annotations)
        ],
        "categories": [{"id": 3, "name": "deer"}, {"id": 7, "name": "fox"}],
    }
    return json.dumps(content).encode()


def listing(root: Path) -> Listing:
    task = TASKS.load("classification").data
    return list_samples(open_container(root), "images", task)


def test_images_get_the_names_of_their_categories(tree: Write) -> None:
    labels = coco({"u-1": "cam/a.jpg", "u-2": "cam/b.jpg"}, ("u-1", 7), ("u-2", "3"))
    root = tree({"cam/a.jpg": b"", "cam/b.jpg": b"", "cam/c.jpg": b"", "traps.json": labels})
    listed = listing(root)
    assert {each.name: each.label for each in listed.samples} == {
        "cam/a.jpg": "fox", "cam/b.jpg": "deer"
    }  # fmt: skip
    assert listed.layout == "json_classes"
    assert listed.unlabelled == ("cam/c.jpg",)
    assert listed.named_in == "`categories` of traps.json"
    assert guess_label_kind(open_container(root)) is LabelKind.CLASSES


def test_names_of_files_state_the_split(tree: Write) -> None:
    files = {
        "train2019.json": coco({0: "a.jpg", 1: "b.jpg"}, (0, 3), (1, 7)),
        "val2019.json": coco({0: "c.jpg"}, (0, 3)),
    }
    listed = listing(tree({"a.jpg": b"", "b.jpg": b"", "c.jpg": b"", **files}))
    assert [each.split for each in listed.samples] == [Split.TRAIN, Split.TRAIN, Split.VAL]


def test_image_with_two_categories_is_a_problem(tree: Write) -> None:
    listed = listing(tree({"a.jpg": b"", "x.json": coco({0: "a.jpg"}, (0, 3), (0, 7))}))
    assert [each.example for each in listed.problems] == [
        "x.json, annotation 1: a.jpg is 'fox', and 'deer' before"
    ]


def test_annotation_of_no_image_is_a_problem(tree: Write) -> None:
    listed = listing(tree({"a.jpg": b"", "x.json": coco({0: "a.jpg", 1: "z.jpg"}, (0, 3), (1, 3))}))
    assert [each.example for each in listed.problems] == [
        "x.json, annotation 1: there is no image 'z.jpg'"
    ]


def test_damaged_file_is_refused(tree: Write) -> None:
    with pytest.raises(DataError, match=r"x\.json: not valid JSON"):
        listing(tree({"a.jpg": b"", "x.json": coco({0: "a.jpg"}, (0, 3))[:-1]}))


@pytest.mark.parametrize(
    "labels",
    [coco({0: "a.jpg"}), coco({0: "a.jpg"}, (0, 3), bbox=[1, 2, 3, 4])],
    ids=["nothing labelled", "boxes"],
)
def test_other_coco_files_have_boxes(tree: Write, labels: bytes) -> None:
    root = tree({"a.jpg": b"", "x.json": labels})
    assert guess_label_kind(open_container(root)) is LabelKind.BOXES
