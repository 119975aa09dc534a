"""The layout chosen for a task, and the equivalence of all layouts."""

from __future__ import annotations

import io
import json
import unicodedata
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgetl.data.box_lint import lint_boxes
from edgetl.data.container import open_container
from edgetl.data.findings import Allowed
from edgetl.data.sources import SOURCES, Listing, guess_label_kind, list_samples
from edgetl.errors import DataError
from edgetl.tasks import TASKS, tasks_with
from edgetl.types import LabelKind, Split

Tree = dict[str, bytes | None]
Write = Callable[[Tree], Path]
Box = tuple[int, int, int, int, int]
"""Class, then left, top, right, bottom in pixels."""

WIDTH, HEIGHT = 640, 480
CLASSES = ("Zahnr\u00e4der", "hex nut", "screw")
SPLITS = {"train": Split.TRAIN, "val": Split.VAL, "test": Split.TEST}
YOLO: Tree = {"data.yaml": b"names: [nut]", "images/a.jpg": b"", "labels/a.txt": b""}
VOC: Tree = {"JPEGImages/a.jpg": b"", "Annotations/a.xml": b"<annotation/>"}
COCO: Tree = {
    "images/a.jpg": b"",
    "labels.json": b'{"images": [], "annotations": [], "categories": []}',
}
FOLDERS: Tree = {"nut/1.jpg": b"", "gear/2.jpg": b""}


def yolo(images: Mapping[str, list[Box]]) -> Tree:
    names = "".join(f"  {number}: {name}\n" for number, name in enumerate(CLASSES))
    files: Tree = {"data.yaml": f"names:\n{names}".encode()}
    for name, boxes in images.items():
        lines = [
            f"{label} {(x0 + x1) / 2 / WIDTH!r} {(y0 + y1) / 2 / HEIGHT!r} "
            f"{(x1 - x0) / WIDTH!r} {(y1 - y0) / HEIGHT!r}\n"
            for label, x0, y0, x1, y1 in boxes
        ]
        files |= {f"images/{name}.jpg": b"", f"labels/{name}.txt": "".join(lines).encode()}
    return files


def voc(images: Mapping[str, list[Box]]) -> Tree:
    files: Tree = {}
    for name, boxes in images.items():
        objects = "".join(
            f"<object><name>{CLASSES[label]}</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin>"
            f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
            for label, x0, y0, x1, y1 in boxes
        )
        size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"
        text = f"<annotation>{size}{objects}</annotation>"
        files |= {f"images/{name}.jpg": b"", f"annotations/{name}.xml": text.encode()}
    return files


def coco(images: Mapping[str, list[Box]]) -> Tree:
    files: Tree = {f"images/{name}.jpg": b"" for name in images}
    for split in SPLITS:
        rows, annotations = [], []
        for number, (name, boxes) in enumerate(images.items()):
            if name.startswith(f"{split}/"):
                size = {"width": WIDTH, "height": HEIGHT}
                rows.append({"id": number, "file_name": f"{name.split('/')[1]}.jpg", **size})
                annotations += [
                    {
                        "id": 1000 * number + k,
                        "image_id": number,
                        "category_id": 10 * label,
                        "bbox": [x0, y0, x1 - x0, y1 - y0],
                    }
                    for k, (label, x0, y0, x1, y1) in enumerate(boxes)
                ]
        categories = [{"id": 10 * k, "name": name} for k, name in enumerate(CLASSES)]
        tables = {"images": rows, "annotations": annotations, "categories": categories}
        files[f"annotations/instances_{split}.json"] = json.dumps(
            tables, ensure_ascii=False
        ).encode()
    return files


def listed(tree: Mapping[str, bytes | None], folder: Path) -> Listing:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in tree.items():
            archive.writestr(name, content or b"")
    (folder / "images.zip").write_bytes(stream.getvalue())
    container = open_container(folder / "images.zip")
    try:
        return list_samples(container, "images", TASKS.load("detection").data)
    finally:
        container.close()


@st.composite
def scenes(draw: st.DrawFn) -> dict[str, list[Box]]:
    """Return the boxes of a few images in every split; the first image has all classes."""
    images: dict[str, list[Box]] = {}
    for split in SPLITS:
        for number in range(draw(st.integers(1, 3))):
            boxes: list[Box] = []
            least = range(3) if not images else range(0)
            for label in [*least, *draw(st.lists(st.integers(0, 2), max_size=4))]:
                x0, y0 = draw(st.integers(0, WIDTH - 2)), draw(st.integers(0, HEIGHT - 2))
                x1 = draw(st.integers(x0 + 1, WIDTH))
                boxes.append((label, x0, y0, x1, draw(st.integers(y0 + 1, HEIGHT))))
            images[f"{split}/image {number}"] = boxes
    return images


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(images=scenes())
def test_all_layouts_give_the_same_boxes(tmp_path: Path, images: dict[str, list[Box]]) -> None:
    for write in (yolo, voc, coco):
        listing = listed(write(images), tmp_path)
        assert listing.classes == CLASSES
        assert listing.given == set(Split)
        assert listing.problems == ()
        sizes = {sample.name: (HEIGHT, WIDTH) for sample in listing.samples}
        lint = lint_boxes(listing, sizes, Allowed())
        boxes_by_image = {
            sample.name: (
                sample.split,
                [(CLASSES.index(box.label), *box.corners) for box in sample.boxes],
            )
            for sample in lint.listing.samples
        }
        assert set(boxes_by_image) == {f"images/{name}.jpg" for name in images}
        for name, boxes in images.items():
            split, rows = boxes_by_image[f"images/{name}.jpg"]
            assert split is SPLITS[name.split("/")[0]]
            assert len(rows) == len(boxes)
            for row, box in zip(rows, boxes, strict=True):
                assert row == pytest.approx(box, abs=1e-9)


@pytest.mark.parametrize("write", [yolo, voc, coco])
@pytest.mark.parametrize("decomposed", ["images", "labels", "lists"])
def test_names_with_accents_match_in_any_normal_form(
    tmp_path: Path, write: Callable[[Mapping[str, list[Box]]], Tree], decomposed: str
) -> None:
    """macOS stores accents as separate characters, other systems do not."""
    files = write({"train/\u00e4 b 1": [(1, 1, 2, 3, 4)], "val/\u00e5ngstr\u00f6m": []})
    if write is voc:
        files |= {f"ImageSets/Main/{split}.txt": b"" for split in ("train", "val")}
        files["ImageSets/Main/train.txt"] = "\u00e4 b 1\n".encode()
        files["ImageSets/Main/val.txt"] = "\u00e5ngstr\u00f6m\n".encode()
    if write is yolo:
        files["train.txt"] = "images/train/\u00e4 b 1.jpg\n".encode()
        files["data.yaml"] = (files["data.yaml"] or b"") + b"train: train.txt\nval: images/val\n"

    def stored(name: str, content: bytes) -> tuple[str, bytes]:
        kind = "images" if name.endswith(".jpg") else "labels"
        if decomposed == "lists":
            return name, unicodedata.normalize("NFD", content.decode()).encode()
        return unicodedata.normalize("NFD", name) if kind == decomposed else name, content

    listing = listed(dict(stored(name, text or b"") for name, text in files.items()), tmp_path)
    assert listing.problems == ()
    assert [(one.labelled, one.split, len(one.boxes)) for one in listing.samples] == [
        (True, Split.TRAIN, 1),
        (True, Split.VAL, 0),
    ]


@pytest.mark.parametrize(
    ("write", "named_in"),
    [
        (yolo, "data.yaml"),
        (voc, "<name> of the XML files"),
        (
            coco,
            "`categories` of "
            + ", ".join(f"annotations/instances_{split}.json" for split in sorted(SPLITS)),
        ),
    ],
    ids=["yolo", "voc", "coco"],
)
def test_every_layout_names_the_origin_of_its_classes(
    tmp_path: Path, write: Callable[[Mapping[str, list[Box]]], Tree], named_in: str
) -> None:
    images = {f"{split}/a": [(0, 1, 2, 3, 4)] for split in SPLITS}
    assert listed(write(images), tmp_path).named_in == named_in


def test_different_names_that_look_the_same_keep_their_labels(tmp_path: Path) -> None:
    names = ("\u00e4", "a\u0308")
    files: Tree = {"data.yaml": b"names: [nut, gear]"}
    for number, name in enumerate(names):
        text = f"{number} .5 .5 .1 .1\n".encode()
        files |= {f"images/{name}.jpg": b"", f"labels/{name}.txt": text}
    listing = listed(files, tmp_path)
    assert listing.problems == ()
    assert {one.name: [box.label for box in one.boxes] for one in listing.samples} == {
        "images/\u00e4.jpg": ["nut"],
        "images/a\u0308.jpg": ["gear"],
    }


@pytest.mark.parametrize(
    ("files", "kind"), [(YOLO, "boxes"), (VOC, "boxes"), (COCO, "boxes"), (FOLDERS, "classes"),
                        ({**FOLDERS, "classes.txt": b"nut"}, "classes")],
    ids=["yolo", "voc", "coco", "folders", "folders with a list of classes"],
)  # fmt: skip
def test_kind_of_labels_is_guessed_from_the_files(tree: Write, files: Tree, kind: str) -> None:
    assert guess_label_kind(open_container(tree(files))) == kind


@pytest.mark.parametrize(
    ("files", "name"), [(YOLO, "yolo"), (VOC, "voc"), (COCO, "coco")], ids=["yolo", "voc", "coco"]
)
def test_boxes_are_refused_for_classification(tree: Write, files: Tree, name: str) -> None:
    what = rf"'images' have labelled boxes \({name}\), but the task is classification\n  write `tas"
    with pytest.raises(DataError, match=what):
        list_samples(open_container(tree(files)), "images", TASKS.load("classification").data)


def test_folders_are_refused_for_detection(tree: Write) -> None:
    with pytest.raises(DataError, match="no labelled boxes in 'images'") as caught:
        list_samples(open_container(tree(FOLDERS)), "images", TASKS.load("detection").data)
    for part in ("COCO, a JSON", "Pascal VOC, Annot", "YOLO, data.yaml", "`task: classification`"):
        assert part in caught.value.remedy


def test_empty_data_are_refused_without_a_suggestion(tree: Write) -> None:
    with pytest.raises(DataError, match="no labelled boxes") as caught:
        list_samples(open_container(tree({"a.jpg": b""})), "images", TASKS.load("detection").data)
    assert "classification" not in caught.value.remedy


def test_several_layouts_are_refused_until_one_is_excluded(tree: Write) -> None:
    root = tree({**YOLO, **COCO})
    with pytest.raises(DataError, match=r"have several layouts: coco, yolo\n  exclude the lab"):
        list_samples(open_container(root), "images", TASKS.load("detection").data)
    container = open_container(root, exclude=("labels.json",))
    assert list_samples(container, "images", TASKS.load("detection").data).classes == ("nut",)


@pytest.mark.parametrize("name", SOURCES.names())
def test_every_layout_describes_the_files_it_expects(name: str) -> None:
    source = SOURCES.load(name)
    assert isinstance(source.label_kind, LabelKind)
    assert len(source.expects) > 10


@pytest.mark.parametrize("layout", [FOLDERS, YOLO], ids=["folders", "yolo"])
def test_recipes_and_hidden_files_are_not_counted(tree: Write, layout: Tree) -> None:
    recipe = b"name: parts\ntask: detection\ndata: {path: .}\nteacher: {family: any}\n"
    files: Tree = {
        "recipe.yaml": recipe,
        "nut/small.YML": recipe,
        "imported.yaml": recipe.replace(b"teacher: {family: any}", b"model: {path: saved}"),
        # Of another tool, with the same keys.
        "args.yaml": b"name: run\ntask: detect\ndata: coco.yaml\nmodel: any.pt\n",
        "other.yaml": b"name: parts\n",
        "broken.yaml": b"[",
        "list.yaml": b"[name, task, data, teacher]",
        "__MACOSX/._recipe.yaml": recipe,
        "nut/.DS_Store": b"",
        ".git/config": b"",
    }
    container = open_container(tree({**layout, **files}))
    task = TASKS.load(tasks_with(guess_label_kind(container))[0])
    listing = list_samples(container, "images", task.data)
    assert listing.others == ("args.yaml", "broken.yaml", "list.yaml", "other.yaml")


@pytest.mark.parametrize("write", [yolo, voc], ids=["yolo", "voc"])
@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("training", "validate", "testing"),
        ("Train", "dev", "eval"),
        ("x_train", "x_val", "x_test"),
    ],
)
def test_splits_of_boxes_are_known_in_all_usual_spellings(
    tmp_path: Path,
    write: Callable[[Mapping[str, list[Box]]], Tree],
    train: str,
    val: str,
    test: str,
) -> None:
    boxes: list[Box] = [(0, 1, 2, 3, 4)]
    images = {f"{train}/a": boxes, f"{val}/b": boxes, f"{test}/c": boxes}
    listing = listed(write(images), tmp_path)
    splits = {sample.name[-5:]: sample.split for sample in listing.samples}
    assert splits == {"a.jpg": Split.TRAIN, "b.jpg": Split.VAL, "c.jpg": Split.TEST}


def test_split_of_a_coco_file_is_known_in_all_usual_spellings(tmp_path: Path) -> None:
    files: Tree = {}
    for folder in ("Training", "dev", "testing"):
        rows = [{"id": 0, "file_name": f"{folder}.jpg"}]
        categories = [{"id": 0, "name": "nut"}]
        tables = {"images": rows, "annotations": [], "categories": categories}
        files[f"{folder}/labels.json"] = json.dumps(tables).encode()
        files[f"{folder}/{folder}.jpg"] = b""
    splits = {sample.name: sample.split for sample in listed(files, tmp_path).samples}
    assert splits == {
        "Training/Training.jpg": Split.TRAIN,
        "dev/dev.jpg": Split.VAL,
        "testing/testing.jpg": Split.TEST,
    }


@pytest.mark.parametrize("write", [yolo, voc], ids=["yolo", "voc"])
def test_images_of_no_split_are_named_with_the_known_splits_until_they_are_excluded(
    tmp_path: Path, write: Callable[[Mapping[str, list[Box]]], Tree]
) -> None:
    files = write({"train/a": [(0, 1, 2, 3, 4)], "extra/b": [(0, 1, 2, 3, 4)]})
    with pytest.raises(DataError, match="such as those in images/extra/\n") as caught:
        listed(files, tmp_path)
    assert "test: test, testing, tst, eval" in caught.value.remedy
    container = open_container(tmp_path / "images.zip", exclude=("*extra*",))
    assert list_samples(container, "images", TASKS.load("detection").data).given == {Split.TRAIN}
