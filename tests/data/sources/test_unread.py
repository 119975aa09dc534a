"""Labels and images that are there but not read are named, and never taken for something else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from edgetl.data.container import open_container
from edgetl.data.sources import Listing, list_samples
from edgetl.errors import DataError
from edgetl.tasks import TASKS

Tree = dict[str, bytes | None]
Write = Callable[[Mapping[str, bytes | None]], Path]
FOLDERS: Tree = {"cat/1.jpg": b"", "cat/2.jpg": b"", "dog/3.jpg": b"", "dog/4.jpg": b""}


def listing(root: Path, *exclude: str, layout: str = "") -> Listing:
    container = open_container(root, exclude=exclude)
    return list_samples(container, "images", TASKS.load("classification").data, layout)


@pytest.mark.parametrize(
    ("files", "what", "pattern"),
    [
        ({"_annotations.txt": b"x"}, r"label file \(_annotations\.txt\)", "_annotations.txt"),
        ({"x.createml.json": b"{"}, r"label file \(x\.createml\.json\)", "*.json"),
        ({"annotations.xml": b"<annotations>"}, r"label file \(annotations\.xml\)", "*.xml"),
        ({"_classes.txt": b"nut"}, r"label file \(_classes\.txt\)", "_classes.txt"),
        ({"structured.labels": b"{}"}, r"label file \(structured\.labels\)", "*.labels"),
        (
            {f"{name[:-4]}.txt": b"a cat that sits" for name in FOLDERS},
            r"4 \.txt files with the names of images \(cat/1\.txt, cat/2\.txt and 2 more\)",
            "*.txt",
        ),
        (
            {f"{name}.json": b'{"objects": []}' for name in FOLDERS},
            r"4 \.json files with the names of images \(cat/1\.jpg\.json",
            "*.json",
        ),
    ],
    ids=["yolov4", "createml", "cvat", "classes", "edge impulse", "texts", "supervisely"],
)
def test_label_files_beside_class_folders_are_refused_until_the_folders_are_stated(
    tree: Write, files: Tree, what: str, pattern: str
) -> None:
    root = tree({**FOLDERS, **files})
    with pytest.raises(DataError, match=f"have labels that are not read: {what}") as caught:
        listing(root)
    assert "write `data: {layout: folder}`" in caught.value.remedy
    assert listing(root, layout="folder").classes == ("cat", "dog")
    assert listing(root, pattern).classes == ("cat", "dog")


@pytest.mark.parametrize(
    "files",
    [
        {"README.md": b"", "notes.txt": b"", "classes.txt": b"cat\ndog", "class_names.json": b"[]"},
        {"labels.json": b'{"0": "cat"}', "labels.xlsx": b"", "meta.csv": b"a,b\n1,2\n"},
        {"cat/1.txt": b"a cat"},
    ],
    ids=["notes", "other tables", "a text for one image"],
)
def test_other_files_beside_class_folders_do_not_matter(tree: Write, files: Tree) -> None:
    listed = listing(tree({**FOLDERS, **files}))
    assert listed.classes == ("cat", "dog")
    assert {*listed.others} == {*files}


def test_files_that_may_hold_labels_are_named_where_nothing_else_names_classes(
    tree: Write,
) -> None:
    files = {
        "train/1.jpg": b"",
        "test/2.jpg": b"",
        "annos.mat": b"",
        "labels.json": b'{"label": 1}',
    }
    with pytest.raises(DataError, match=r"named like splits.*annos\.mat.*labels\.json"):
        listing(tree(files))


@pytest.mark.parametrize(
    ("files", "remedy"),
    [
        (
            {"Class 1-samples.zip": b"", "Class 2-samples.zip": b""},
            r"unpack the archives in it, each into its own folder \(Class 1-samples\.zip, ",
        ),
        (
            {"obj.names": b"nut", "obj_train_data/1.txt": b"", "obj_train_data/2.txt": b""},
            r"add the images: there are only label files; .* \(obj\.names, .*1\.txt and 1 more\)",
        ),
        ({"a/1.mp4": b""}, r"save frames of the videos as images \(a/1\.mp4\)"),
        ({"x_train.npy": b""}, r"save the arrays as image files \(x_train\.npy\)"),
        ({"a/x.tfrecord": b""}, r"export the images and labels again.* \(a/x\.tfrecord\)"),
        ({}, "expected a CSV with a header"),
    ],
    ids=["archives", "labels", "videos", "arrays", "records", "nothing"],
)
@pytest.mark.parametrize("task", ["classification", "detection"])
def test_what_lies_there_instead_of_images_is_named(
    tree: Write, files: Tree, remedy: str, task: str
) -> None:
    with pytest.raises(DataError, match=r"no labelled (images|boxes) in 'images'") as caught:
        list_samples(open_container(tree(files)), "images", TASKS.load(task).data)
    if files or task == "classification":
        assert caught.match(remedy)


def test_unread_labels_of_boxes_are_named(tree: Write) -> None:
    files: Tree = {"a.jpg": b"", "_annotations.txt": b"a.jpg 1,2,3,4,0\n"}
    with pytest.raises(DataError, match=r"no labelled boxes.*not read: .*_annotations\.txt"):
        list_samples(open_container(tree(files)), "images", TASKS.load("detection").data)
