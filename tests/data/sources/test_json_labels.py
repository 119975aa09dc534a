"""JSON files of labelling tools: Edge Impulse, CreateML, LabelMe, Datumaro."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from edgetl.data.container import open_container
from edgetl.data.sources import Listing, list_samples
from edgetl.errors import DataError
from edgetl.tasks import TASKS
from edgetl.types import Split

Tree = Mapping[str, bytes | None]
Write = Callable[[Tree], Path]
BOX = {"label": "nut", "x": 1, "y": 2, "width": 30, "height": 40}


def listing(root: Path, task: str = "detection") -> Listing:
    return list_samples(open_container(root), "images", TASKS.load(task).data)


def dump(content: Any) -> bytes:
    return json.dumps(content).encode()


def problems(listed: Listing) -> list[tuple[str, str]]:
    return [(problem.example, problem.image) for problem in listed.problems]


def info(*files: dict[str, Any]) -> bytes:
    return dump({"version": 1, "files": list(files)})


def test_edge_impulse_images_without_a_label_are_named(tree: Write) -> None:
    entries = [
        {"path": "training/a.jpg", "category": "training",
         "label": {"type": "label", "label": " cat "}},
        {"path": "training/b.jpg", "category": "training", "label": {"type": "unlabeled"}},
        {"path": "training/c.jpg", "category": "training",
         "label": {"type": "multi-label", "labels": []}},
        {"path": "training/gone.jpg", "label": {"type": "label", "label": "cat"}},
    ]  # fmt: skip
    files = {f"training/{name}.jpg": b"" for name in "abc"}
    listed = listing(tree({**files, "info.labels": info(*entries)}), "classification")
    assert [(sample.name, sample.label, sample.split) for sample in listed.samples] == [
        ("training/a.jpg", "cat", Split.TRAIN)
    ]
    assert listed.unlabelled == ("training/b.jpg", "training/c.jpg")
    assert problems(listed) == [
        ("info.labels, file at position 2: training/c.jpg has labels for parts of it", ""),
        ("info.labels, file at position 3: there is no image 'training/gone.jpg'", ""),
    ]


def test_edge_impulse_boxes_may_be_in_either_file(tree: Write) -> None:
    in_info = info({"path": "a.jpg", "category": "testing", "boundingBoxes": [BOX]},
                   {"path": "b.jpg", "category": "training", "boundingBoxes": []})  # fmt: skip
    listed = listing(tree({"a.jpg": b"", "b.jpg": b"", "info.labels": in_info}))
    assert [(sample.split, len(sample.boxes), sample.labelled) for sample in listed.samples] == [
        (Split.TEST, 1, True),
        (Split.TRAIN, 0, True),
    ]


def test_edge_impulse_export_of_boxes_has_both_files(tree: Write) -> None:
    both = {
        "info.labels": info({"path": "a.jpg", "label": {"type": "unlabeled"}}),
        "bounding_boxes.labels": dump({"boundingBoxes": {"a.jpg": [BOX]}}),
    }
    listed = listing(tree({"a.jpg": b"", **both}))
    assert listed.samples[0].boxes[0].corners == (1.0, 2.0, 31.0, 42.0)
    assert listed.labels == ("bounding_boxes.labels", "info.labels")


@pytest.mark.parametrize(
    ("box", "what"),
    [
        ({**BOX, "x": "1"}, "x is '1', not a finite number"),
        ({**BOX, "width": None}, "width is 'None', not a finite number"),
        ({**BOX, "label": " "}, "label is ' ', not a name"),
        ("nut", "label is 'None', not a name"),
    ],
)
def test_broken_edge_impulse_box_is_named(tree: Write, box: Any, what: str) -> None:
    content = dump({"boundingBoxes": {"a.jpg": [box, BOX]}})
    listed = listing(tree({"a.jpg": b"", "bounding_boxes.labels": content}))
    assert problems(listed) == [(f"bounding_boxes.labels, a.jpg, box 0: {what}", "a.jpg")]
    assert len(listed.samples[0].boxes) == 1


@pytest.mark.parametrize("name", ["info.labels", "bounding_boxes.labels"])
def test_edge_impulse_file_that_is_no_json_is_refused(tree: Write, name: str) -> None:
    task = "classification" if name.startswith("info") else "detection"
    with pytest.raises(DataError, match=f"{name}: not valid JSON"):
        listing(tree({"a.jpg": b"", name: b"{"}), task)


def test_createml_centres_become_corners(tree: Write) -> None:
    place = {"x": 20, "y": 30, "width": 10, "height": 20}
    broken = {"label": "nut", "coordinates": {"x": 1}}
    entries = [
        {"annotations": [{"label": "nut", "coordinates": place}, broken], "image": "a.jpg"},
        {"image": "gone.jpg", "annotations": []},
    ]
    listed = listing(tree({"a.jpg": b"", "x.json": dump(entries)}))
    assert listed.samples[0].boxes[0].corners == (15.0, 20.0, 25.0, 40.0)
    assert problems(listed) == [
        ("x.json, image at position 0, annotation 1: y is 'None', not a finite number", "a.jpg"),
        ("x.json, image at position 1: there is no image 'gone.jpg'", ""),
    ]


def labelme(*shapes: Any, path: str = "a.jpg") -> bytes:
    return dump({"shapes": list(shapes), "imagePath": path, "imageHeight": 80, "imageWidth": 96})


RECTANGLE = {"label": "nut", "points": [[40, 20], [10, 60]], "shape_type": "rectangle"}


def test_labelme_image_has_the_name_of_its_file_or_the_stated_one(tree: Write) -> None:
    files = {
        "a.jpg": b"", "a.json": labelme(RECTANGLE, path="renamed.jpg"),
        "images/b.jpg": b"", "labels/x.json": labelme(path="..\\images\\b.jpg"),
    }  # fmt: skip
    listed = listing(tree(files))
    assert [(sample.name, sample.stated_size, len(sample.boxes), sample.labelled)
            for sample in listed.samples] == [
        ("a.jpg", (80, 96), 1, True),
        ("images/b.jpg", (80, 96), 0, True),
    ]  # fmt: skip
    assert listed.samples[0].boxes[0].corners == (10.0, 20.0, 40.0, 60.0)


@pytest.mark.parametrize(
    ("shape", "what"),
    [
        ({**RECTANGLE, "shape_type": "polygon"}, "is a polygon; only rectangles are read"),
        ({**RECTANGLE, "points": [[1, 2]]}, "points must be two corners or more"),
        ({**RECTANGLE, "points": [[1, 2], [3, "4"]]}, "points must be two corners or more"),
        ({**RECTANGLE, "label": ""}, "label is '', not a name"),
        (None, "is a None; only rectangles are read as boxes"),
    ],
)
def test_labelme_shape_that_is_no_box_is_named(tree: Write, shape: Any, what: str) -> None:
    listed = listing(tree({"a.jpg": b"", "a.json": labelme(shape)}))
    ((example, image),) = problems(listed)
    assert example.startswith(f"a.json, shape 0: {what}")
    assert image == "a.jpg"


def test_broken_labelme_file_is_named_with_its_image(tree: Write) -> None:
    listed = listing(tree({"a.jpg": b"", "a.json": labelme(RECTANGLE)[:-1]}))
    ((example, image),) = problems(listed)
    assert example.startswith("a.json: not valid JSON")
    assert image == "a.jpg"


def datumaro(*annotations: Any, names: Any = ("gear", "nut")) -> bytes:
    labels = [{"name": name} for name in names]
    items = [{"id": "a", "annotations": list(annotations), "media": {"path": ""}}]
    return dump({"items": items, "categories": {"label": {"labels": labels}}})


BBOX = {"type": "bbox", "label_id": 1, "bbox": [1, 2, 30, 40]}


def test_datumaro_numbers_are_positions_of_labels(tree: Write) -> None:
    content = datumaro(BBOX, {"type": "label", "label_id": 0})
    listed = listing(tree({"images/default/a.jpg": b"", "annotations/default.json": content}))
    assert listed.classes == ("gear", "nut")
    assert listed.given == frozenset()
    (box,) = listed.samples[0].boxes
    assert (box.label, box.corners) == ("nut", (1.0, 2.0, 31.0, 42.0))
    assert listed.problems == ()


@pytest.mark.parametrize(
    ("annotation", "what"),
    [
        ({**BBOX, "type": "polygon"}, "is a polygon; only bbox is read as a box"),
        ({**BBOX, "label_id": 2}, "there is no label with number 2"),
        ({**BBOX, "label_id": None}, "there is no label with number None"),
        ({**BBOX, "bbox": [1, 2, 3]}, "bbox must be four numbers, x, y, width and height"),
        ({**BBOX, "bbox": [1, 2, 3, "4"]}, "height is '4', not a finite number"),
    ],
)
def test_datumaro_annotation_that_is_no_box_is_named(
    tree: Write, annotation: Any, what: str
) -> None:
    listed = listing(tree({"a.jpg": b"", "x.json": datumaro(annotation)}))
    assert problems(listed) == [(f"x.json, item 'a', annotation 0: {what}", "a.jpg")]


def test_datumaro_without_labels_is_refused(tree: Write) -> None:
    with pytest.raises(DataError, match=r"x\.json: `categories: label: labels` names no labels"):
        listing(tree({"a.jpg": b"", "x.json": datumaro(names=())}))


def test_coco_without_categories_is_refused_as_what_it_is(tree: Write) -> None:
    content = dump({"images": [], "annotations": [{"image_id": 1}]})
    with pytest.raises(DataError, match=r"x\.json: needs the lists .*, but lacks categories"):
        listing(tree({"a.jpg": b"", "x.json": content}))


def test_coco_in_utf_16_is_read(tree: Write) -> None:
    content = json.dumps(
        {
            "images": [{"id": 1, "file_name": "a.jpg"}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}],
            "categories": [{"id": 1, "name": "\u87ba\u6bcd"}],
        },
        ensure_ascii=False,
    )
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"):
        listed = listing(tree({"a.jpg": b"", "x.json": content.encode(encoding)}))
        assert listed.classes == ("\u87ba\u6bcd",)
        assert len(listed.samples[0].boxes) == 1


def test_createml_list_may_be_in_the_singular_and_a_missing_one_is_named(tree: Write) -> None:
    box = {"label": "nut", "coordinates": {"x": 5, "y": 5, "width": 4, "height": 2}}
    entries = [{"imagefilename": "a.jpg", "annotation": [box]}, {"image": "b.jpg"}]
    listed = listing(tree({"a.jpg": b"", "b.jpg": b"", "x.json": dump(entries)}))
    assert [len(sample.boxes) for sample in listed.samples] == [1, 0]
    assert problems(listed) == [
        ("x.json, image at position 1: has no list of annotations", "b.jpg")
    ]


def test_datumaro_image_with_two_labels_is_named(tree: Write) -> None:
    labels = [{"type": "label", "label_id": number} for number in (0, 1)]
    listed = listing(tree({"a.jpg": b"", "x.json": datumaro(*labels)}), "classification")
    ((example, _),) = problems(listed)
    assert example == "x.json, item 'a': a.jpg is 'nut', and 'gear' before"
    unknown = {"type": "label", "label_id": 7}
    listed = listing(tree({"a.jpg": b"", "x.json": datumaro(unknown)}), "classification")
    assert listed.unlabelled == ("a.jpg",)
