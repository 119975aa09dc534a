from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgetl.config.recipe import Drop
from edgetl.data.container import open_container
from edgetl.data.sources import Listing, list_samples
from edgetl.errors import DataError
from edgetl.tasks import TASKS
from edgetl.types import Split

Tree = dict[str, bytes | None]
Write = Callable[[Tree], Path]

CATEGORIES = [{"id": 7, "name": "nut"}, {"id": 3, "name": "Zahnr\u00e4der 2"}]


def image(number: int, name: str) -> dict[str, object]:
    return {"id": number, "file_name": name, "width": 64, "height": 48}


def annotation(number: int, image: int, **changes: object) -> dict[str, object]:
    row = {"id": number, "image_id": image, "category_id": 7, "bbox": [1, 2, 10, 20.5]}
    return {**row, "iscrowd": 0, "segmentation": [[1, 2, 3, 4, 5, 6]], **changes}


def coco(images: list[Any], annotations: list[Any], categories: Any = CATEGORIES) -> bytes:
    tables = {"images": images, "annotations": annotations, "categories": categories}
    return json.dumps(tables, ensure_ascii=False).encode()


def listing(root: Path, *exclude: str) -> Listing:
    return list_samples(
        open_container(root, exclude=exclude), "images", TASKS.load("detection").data
    )


def problems(listed: Listing) -> list[tuple[str, Drop | None, str]]:
    return [(problem.example, problem.drop, problem.image) for problem in listed.problems]


ONE = coco([image(1, "a b.jpg")], [annotation(5, 1), annotation(6, 1, category_id=3, iscrowd=1)])


@pytest.mark.parametrize(
    ("file", "image"),
    [
        ("annotations/instances_default.json", "images/a b.jpg"),
        ("_annotations.coco.json", "a b.jpg"),
        ("wrap/labels.json", "wrap/data/a b.jpg"),
    ],
)
def test_boxes_are_corners_in_pixels(tree: Write, file: str, image: str) -> None:
    listed = listing(tree({file: ONE, image: b"", "captions.json": b'{"images": []}'}))
    (sample,) = listed.samples
    assert (sample.name, sample.split, sample.stated_size) == (image, None, (48, 64))
    # The file has x 1, y 2, width 10, height 20.5.
    assert [box.corners for box in sample.boxes] == [(1, 2, 11, 22.5)] * 2
    assert [(box.label, box.crowd) for box in sample.boxes] == [
        ("nut", False),
        ("Zahnr\u00e4der 2", True),
    ]
    assert sample.boxes[1].where == f"{file}, annotation 6"
    # In the order of their ids, which have gaps.
    assert listed.classes == ("Zahnr\u00e4der 2", "nut")
    assert listed.others == ("captions.json",)


def test_split_of_a_file_follows_from_its_name_or_folder(tree: Write) -> None:
    files: Tree = {}
    for split in ("train2017", "val2017"):
        files[f"annotations/instances_{split}.json"] = ONE
        files[f"annotations/person_keypoints_{split}.json"] = ONE
        files[f"{split}/a b.jpg"] = b""
    files |= {"annotations/instances_test.json": coco([image(1, "c.jpg")], []), "test/c.jpg": b""}
    listed = listing(tree(files))
    assert [(one.name, one.split, len(one.boxes)) for one in listed.samples] == [
        ("test/c.jpg", Split.TEST, 0),
        ("train2017/a b.jpg", Split.TRAIN, 2),
        ("val2017/a b.jpg", Split.VAL, 2),
    ]
    assert listed.given == set(Split)
    assert len(listed.others) == 2
    assert problems(listed) == []


def test_file_next_to_its_images_has_the_split_of_the_folder(tree: Write) -> None:
    files: Tree = {}
    for split in ("train", "valid"):
        files |= {f"{split}/_annotations.coco.json": ONE, f"{split}/a b.jpg": b""}
    listed = listing(tree(files))
    assert [(one.name, one.split) for one in listed.samples] == [
        ("train/a b.jpg", Split.TRAIN),
        ("valid/a b.jpg", Split.VAL),
    ]


@pytest.mark.parametrize("name", ["C:\\data\\a.jpg", "./images/a.jpg", "/root/images/a.jpg"])
def test_paths_from_other_machines_are_resolved(tree: Write, name: str) -> None:
    text = coco([image(1, name)], [annotation(5, 1)])
    assert listing(tree({"x.json": text, "images/a.jpg": b""})).samples[0].name == "images/a.jpg"


def test_listed_image_without_boxes_is_background_and_unlisted_image_is_unlabelled(
    tree: Write,
) -> None:
    text = coco([image(1, "a.jpg")], [])
    listed = listing(tree({"x.json": text, "images/a.jpg": b"", "images/b.jpg": b""}))
    assert [(one.name, one.labelled) for one in listed.samples] == [
        ("images/a.jpg", True),
        ("images/b.jpg", False),
    ]


def test_unlisted_image_has_the_split_of_its_folder(tree: Write) -> None:
    files: Tree = {}
    for split in ("train", "val"):
        files |= {f"instances_{split}.json": ONE, f"images/{split}/a b.jpg": b""}
    listed = listing(tree({**files, "images/val/z.jpg": b"", "images/spare.jpg": b""}))
    assert [(one.name, one.split) for one in listed.samples if not one.labelled] == [
        ("images/val/z.jpg", Split.VAL)
    ]
    assert listed.unlisted == ("images/spare.jpg",)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"category_id": 99}, "annotation 5: there is no category with id 99"),
        ({"bbox": [1, 2, 3]}, "annotation 5: bbox must be four finite numbers, x, y, width and"),
        ({"bbox": [1, 2, float("nan"), 3]}, "bbox must be four finite numbers"),
        ({"bbox": [1, 2, 10**300, 3]}, "bbox must be four finite numbers"),
        ({"bbox": "1 2 3 4"}, "bbox must be four finite numbers"),
        ({"category_id": "7"}, "position 0: needs whole numbers id, image_id and category_id"),
        ({"category_id": True}, "position 0: needs whole numbers id, image_id and category_id"),
    ],
)
def test_broken_annotation_is_named(tree: Write, change: dict[str, object], what: str) -> None:
    text = coco([image(1, "a.jpg")], [annotation(5, 1, **change), annotation(6, 1)])
    listed = listing(tree({"x.json": text, "a.jpg": b""}))
    ((example, drop, name),) = problems(listed)
    assert example.startswith("x.json, annotation ")
    assert what in example
    assert (drop, name) == (Drop.BAD_LABELS, "a.jpg")
    assert len(listed.samples[0].boxes) == 1


def test_images_without_annotations_and_vice_versa_are_named(tree: Write) -> None:
    text = coco([image(1, "a.jpg"), image(2, "gone.jpg")], [annotation(5, 2), annotation(6, 9)])
    listed = listing(tree({"x.json": text, "a.jpg": b""}))
    assert problems(listed) == [
        ("x.json, image 2: there is no image 'gone.jpg'", Drop.STRAY_LABELS, ""),
        ("x.json, annotation 6: there is no image with id 9", Drop.STRAY_LABELS, ""),
    ]


def test_annotations_of_an_excluded_image_are_ignored(tree: Write) -> None:
    text = coco([image(1, "a.jpg"), image(2, "b.jpg")], [annotation(5, 2, category_id=99)])
    listed = listing(tree({"x.json": text, "a.jpg": b"", "b.jpg": b""}), "b.jpg")
    assert problems(listed) == []
    assert [one.name for one in listed.samples] == ["a.jpg"]


@pytest.mark.parametrize(
    ("images", "what"),
    [
        ([image(1, "a.jpg"), image(1, "b.jpg")], "image 1: its id or its image 'b.jpg' occurs tw"),
        ([image(1, "a.jpg"), image(2, "a.jpg")], "image 2: its id or its image 'a.jpg' occurs tw"),
        ([image(1, "c.jpg")], "image 1: 'c.jpg' matches p/c.jpg and q/c.jpg"),
        ([{"id": 1}], "image at position 0: needs a whole id and a file_name"),
        ([7], "image at position 0: needs a whole id and a file_name"),
    ],
)
def test_wrong_image_is_named(tree: Write, images: list[Any], what: str) -> None:
    files: Tree = {"a.jpg": b"", "b.jpg": b"", "p/c.jpg": b"", "q/c.jpg": b""}
    ((example, drop, _),) = problems(listing(tree({"x.json": coco(images, []), **files})))
    assert what in example
    assert drop is None


MARKS = b'"images" "annotations" "categories"'


@pytest.mark.parametrize(
    ("files", "what"),
    [
        pytest.param({"x.json": ONE[:-20]}, r"x\.json: not valid JSON", id="cut short"),
        pytest.param(
            {"x.json": MARKS + b"\xff"}, r"x\.json: not valid JSON \(not UTF-8", id="text"
        ),
        pytest.param(
            {"x.json": b"[" * 100_000 + MARKS}, r"x\.json: nested too deeply", id="nested"
        ),
        pytest.param(
            {"x.json": b"[" + MARKS.replace(b" ", b",") + b"]"}, "needs the lists", id="list"
        ),
        pytest.param(
            {"x.json": ONE.replace(b'"id": 5', b'"id": 1' + b"0" * 5000)},
            r"x\.json: not valid JSON \(Exceeds the limit",
            id="huge number",
        ),
        pytest.param(
            {"x.json": coco([], [], [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}])},
            "two categories have the id 2 or the name 'a'",
            id="same name",
        ),
        pytest.param(
            {"x.json": coco([], [], [{"id": 1}])}, "a category needs a whole id", id="no name"
        ),
        pytest.param(
            {"x.json": ONE, "y.json": ONE},
            r"several COCO files have the same split: x\.json, y\.json",
            id="two files",
        ),
        pytest.param(
            {"train.json": ONE, "val.json": ONE},
            r"image 'a b\.jpg' is listed in val\.json and in another COCO file",
            id="image twice",
        ),
    ],
)
def test_contradictory_layout_is_refused(tree: Write, files: Tree, what: str) -> None:
    with pytest.raises(DataError, match=what):
        listing(tree({"a b.jpg": b"", **files}))
