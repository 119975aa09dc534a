"""Labels and images that are there but not read are named, and never taken for something else."""

from __future__ import annotations

import re
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


NAMED = ("1.jpg", "2.jpg", "3.jpg", "4.jpg")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("boxes.txt", "\n".join(f"{name}\n1\n3 4 9 9 0" for name in NAMED)),
        ("images.txt", "\n".join(f"{k} cat/{name}" for k, name in enumerate(NAMED))),
        ("project.json", str([{"image": f"/data/upload/{name}"} for name in NAMED])),
        ("out.manifest", "\n".join(f'{{"source-ref": "s3://b/{name}"}}' for name in NAMED)),
    ],
)
def test_text_that_names_images_is_refused_until_the_folders_are_stated(
    tree: Write, name: str, text: str
) -> None:
    root = tree({**FOLDERS, name: text.encode()})
    what = rf"labels that are not read: file that names 4 images \({re.escape(name)}\)"
    with pytest.raises(DataError, match=what):
        listing(root)
    assert listing(root, layout="folder").classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("all.txt", "\n".join(f"data/cat/{name}" for name in NAMED)),
        ("md5sums.txt", "\n".join(f"0f3a  cat/{name}" for name in NAMED)),
        ("few.txt", "1.jpg is blurred, and so is 2.jpg"),
        ("other.json", '["7.jpg", "8.jpg", "9.jpg"]'),
    ],
)
def test_lists_and_checksums_of_images_are_no_labels(tree: Write, name: str, text: str) -> None:
    assert listing(tree({**FOLDERS, name: text.encode()})).classes == ("cat", "dog")


@pytest.mark.parametrize("name", ["gt.txt", "groundtruth_rect.txt", "seqinfo.ini"])
def test_sequences_with_labels_of_their_own_are_no_classes(tree: Write, name: str) -> None:
    files: Tree = {f"{video}/img1/{k}.jpg": b"" for video in ("MOT-02", "MOT-04") for k in range(3)}
    with pytest.raises(DataError, match=rf"not read: label file \(MOT-02/gt/{name}\)"):
        listing(tree({**files, f"MOT-02/gt/{name}": b"1,1,3,4,9,9"}))


@pytest.mark.parametrize("suffix", [".svg", ".dcm", ".NEF"])
def test_images_of_other_formats_are_named_where_there_are_no_others(
    tree: Write, suffix: str
) -> None:
    with pytest.raises(DataError, match="no labelled images in") as caught:
        listing(tree({f"cat/1{suffix}": b"x"}))
    assert caught.value.remedy == f"save them again as 8-bit PNG or JPEG (cat/1{suffix})"


def test_labels_beside_images_without_folders_are_to_be_exported(tree: Write) -> None:
    text = str([{"filename": f"{k}.jpg", "regions": []} for k in range(4)])
    with pytest.raises(DataError, match=r"not read: file that names 4 images") as caught:
        listing(tree({**{f"{k}.jpg": b"" for k in range(4)}, "via.json": text.encode()}))
    assert caught.value.remedy.startswith("export the labels as a CSV with the columns")


@pytest.mark.parametrize("form", ["gt_{}.txt", "{}_ann.txt", "label-{}.txt"])
def test_labels_with_a_word_before_or_after_the_name_of_the_image_are_named(
    tree: Write, form: str
) -> None:
    files: Tree = {f"images/img{k}.jpg": b"" for k in range(3)}
    files |= {f"gts/{form.format(f'img{k}')}": b"1,2,9,2,word" for k in range(3)}
    with pytest.raises(DataError, match=r"not read: 3 \.txt files with the names of images"):
        listing(tree(files))
