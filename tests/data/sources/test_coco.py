from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgetl.config.recipe import Drop, Repair
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
        ({"category_id": "99"}, "annotation 5: there is no category with id 99"),
        ({"category_id": 7.5}, "position 0: needs whole numbers id, image_id and category_id"),
        ({"category_id": ""}, "position 0: needs whole numbers id, image_id and category_id"),
        ({"bbox": [], "segmentation": [[1, 2, 3]]}, "bbox must be four finite numbers"),
        ({"bbox": None, "segmentation": []}, "bbox must be four finite numbers"),
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


def test_ids_are_the_same_however_they_are_written(tree: Write) -> None:
    text = coco(
        [image(1, "a.jpg"), {**image(2, "b.jpg"), "id": "2"}, {**image(0, "c.jpg"), "id": "x-3"}],
        [
            annotation(5, 1, category_id=7.0),
            annotation(6, 2, category_id="3", image_id=2.0),
            annotation(7, 0, image_id="x-3"),
        ],
        [{"id": "7", "name": "nut"}, {"id": 3.0, "name": "screw"}],
    )
    listed = listing(tree({"x.json": text, "a.jpg": b"", "b.jpg": b"", "c.jpg": b""}))
    assert listed.problems == ()
    assert listed.classes == ("screw", "nut")
    labels = {sample.name: [box.label for box in sample.boxes] for sample in listed.samples}
    assert labels == {"a.jpg": ["nut"], "b.jpg": ["screw"], "c.jpg": ["nut"]}


@pytest.mark.parametrize(
    "file_name",
    [
        "a b.JPG",
        "A B.jpg",
        "https://example.org/store/a%20b.jpg?sig=x/y.png#z",
        "s3://bucket/p/a b.jpg",
    ],
)
def test_images_are_matched_by_address_and_whatever_the_case(tree: Write, file_name: str) -> None:
    text = coco([image(1, file_name)], [annotation(5, 1)])
    listed = listing(tree({"x.json": text, "p/a b.jpg": b""}))
    assert listed.problems == ()
    assert [(one.name, len(one.boxes)) for one in listed.samples] == [("p/a b.jpg", 1)]


def test_exact_name_goes_before_one_in_another_case(tree: Write) -> None:
    text = coco([image(1, "a.jpg"), image(2, "A.JPG")], [annotation(5, 1), annotation(6, 2)])
    listed = listing(tree({"x.json": text, "a.jpg": b"", "A.JPG": b""}))
    assert listed.problems == ()
    assert [(one.name, len(one.boxes)) for one in listed.samples] == [("A.JPG", 1), ("a.jpg", 1)]
    neither = listing(tree({"x.json": coco([image(1, "a.Jpg")], [])}))
    assert problems(neither)[0][0] == "x.json, image 1: 'a.Jpg' matches A.JPG and a.jpg"


@pytest.mark.parametrize("name", ["nut", "project"], ids=["named like a class", "other name"])
def test_root_category_without_annotations_is_no_class(tree: Write, name: str) -> None:
    root = {"id": 0, "name": name, "supercategory": "none"}
    classes = [{"id": 1, "name": "nut", "supercategory": name}]
    text = coco([image(1, "a.jpg")], [annotation(5, 1, category_id=1)], [root, *classes])
    listed = listing(tree({"x.json": text, "a.jpg": b""}))
    assert (listed.classes, listed.problems) == (("nut",), ())


def test_category_that_has_annotations_or_groups_nothing_stays_a_class(tree: Write) -> None:
    used = [
        {"id": 0, "name": "part", "supercategory": "none"},
        {"id": 1, "name": "nut", "supercategory": "part"},
        {"id": 2, "name": "spare", "supercategory": "none"},
    ]
    text = coco([image(1, "a.jpg")], [annotation(5, 1, category_id=0)], used)
    assert listing(tree({"x.json": text, "a.jpg": b""})).classes == ("part", "nut", "spare")


MASK = [[0, 0, 0, 0, 0], [0, 0, 1, 1, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]]
"""A mask of 4 x 5 pixels; its box is 1 1 4 3."""


def _run_lengths() -> list[int]:
    """Return the lengths of equal pixels down the columns of `MASK`, zeros first."""
    flat = [MASK[row][column] for column in range(5) for row in range(4)]
    counts, last = [0], 0
    for value in flat:
        if value != last:
            counts.append(0)
        counts[-1] += 1
        last = value
    return counts


@pytest.mark.parametrize("bbox", [{}, {"bbox": []}, {"bbox": None}], ids=["none", "empty", "null"])
@pytest.mark.parametrize(
    ("segmentation", "corners"),
    [
        pytest.param([[10, 8, 30, 12, 20, 40.5]], (10, 8, 30, 40.5), id="polygon"),
        pytest.param([[10, 8, 30, 8, 9, 20], [2, 9, 5, 9, 5, 30]], (2, 8, 30, 30), id="two parts"),
        pytest.param({"size": [4, 5], "counts": _run_lengths()}, (1, 1, 4, 3), id="mask"),
        pytest.param({"size": [80, 96], "counts": [0, 7680]}, (0, 0, 96, 80), id="full mask"),
    ],
)
def test_outline_without_a_box_needs_a_repair(
    tree: Write, segmentation: object, corners: tuple[float, ...], bbox: dict[str, object]
) -> None:
    row = annotation(5, 1, segmentation=segmentation)
    del row["bbox"]
    listed = listing(tree({"x.json": coco([image(1, "a.jpg")], [{**row, **bbox}]), "a.jpg": b""}))
    (box,) = listed.samples[0].boxes
    assert (box.corners, box.needs, listed.problems) == (corners, Repair.OUTLINES, ())


def test_packed_mask_gives_the_box_of_pycocotools(tree: Write) -> None:
    mask = pytest.importorskip("pycocotools.mask", reason="edgetl[detection] is not installed")
    pixels = np.zeros((70, 90), np.uint8, order="F")
    pixels[11:60, 3:40] = np.random.default_rng(0).integers(0, 2, (49, 37), np.uint8)
    packed = mask.encode(pixels)
    left, top, width, height = mask.toBbox(packed).tolist()
    row = annotation(5, 1, segmentation={"size": [70, 90], "counts": packed["counts"].decode()})
    del row["bbox"]
    listed = listing(tree({"x.json": coco([image(1, "a.jpg")], [row]), "a.jpg": b""}))
    (box,) = listed.samples[0].boxes
    assert box.corners == (left, top, left + width, top + height)


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [4, 5], "counts": "o"},
        {"size": [4], "counts": [1]},
        {"size": [0, 5], "counts": [1, 2]},
        {"size": [4, 5], "counts": [1, -2]},
        {"size": [4, 5], "counts": [20]},
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 5, "6"]],
        [7],
        "1 2 3 4",
    ],
    ids=str,
)
def test_outline_that_cannot_be_read_is_named(tree: Write, segmentation: object) -> None:
    row = annotation(5, 1, segmentation=segmentation)
    del row["bbox"]
    listed = listing(tree({"x.json": coco([image(1, "a.jpg")], [row]), "a.jpg": b""}))
    assert problems(listed)[0][0] == (
        "x.json, annotation 5: bbox must be four finite numbers, x, y, width and height"
    )


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
