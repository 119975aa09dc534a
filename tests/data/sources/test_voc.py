from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgetl.config.recipe import Drop
from edgetl.data.container import open_container
from edgetl.data.sources import Listing, list_samples
from edgetl.errors import DataError
from edgetl.types import Split, Task

Tree = dict[str, bytes | None]
Write = Callable[[Tree], Path]

OBJECT = (
    "<object><name>{name}</name><difficult>{difficult}</difficult><bndbox><xmin>{box[0]}</xmin>"
    "<ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>"
)


def xml(
    *boxes: tuple[object, ...], filename: str = "", name: str = "nut", difficult: int = 0
) -> bytes:
    objects = "".join(OBJECT.format(name=name, box=box, difficult=difficult) for box in boxes)
    return (
        f"<annotation><filename>{filename}</filename>"
        "<size><width>64</width><height>48</height><depth>3</depth></size>"
        f"{objects}</annotation>"
    ).encode()


XML = xml((1, 2, 3, 4))


def listing(root: Path, *exclude: str) -> Listing:
    return list_samples(open_container(root, exclude=exclude), "images", Task.DETECTION)


def problems(found: Listing) -> list[tuple[str, Drop | None, str]]:
    return [(problem.example, problem.drop, problem.image) for problem in found.problems]


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("JPEGImages/a b.jpg", "Annotations/a b.xml"),
        ("wrap/JPEGImages/a.jpg", "wrap/Annotations/a.xml"),
        ("images/a.JPG", "annotations/a.XML"),
        ("a.png", "a.xml"),
        ("images/a.jpg", "xml files/a.xml"),
    ],
)
def test_labels_are_found_by_name(tree: Write, image: str, label: str) -> None:
    text = xml((1, 2, 3.5, 4), (10, 20, 30, 40), name=" Gew\u00fcnde stift ", difficult=1)
    found = listing(tree({image: b"", label: text}))
    (sample,) = found.samples
    assert (sample.name, sample.split, sample.relative) == (image, None, False)
    assert sample.stated_size == (48, 64)
    # Coordinates are kept as they are written.
    assert [box.corners for box in sample.boxes] == [(1, 2, 3.5, 4), (10, 20, 30, 40)]
    assert sample.boxes[1].where == f"{label}, object 2"
    assert sample.boxes[1].difficult
    assert found.classes == ("Gew\u00fcnde stift",)
    assert found.labels == (label,)
    assert problems(found) == []


def test_image_with_the_same_name_in_another_split_has_labels_of_its_own(tree: Write) -> None:
    files: Tree = {}
    for split, name in (("train", "nut"), ("valid", "gear"), ("test", "screw")):
        files |= {f"{split}/a.jpg": b"", f"{split}/a.xml": xml((1, 2, 3, 4), name=name)}
    found = listing(tree(files))
    assert [(one.name, one.split, one.boxes[0].label) for one in found.samples] == [
        ("test/a.jpg", Split.TEST, "screw"),
        ("train/a.jpg", Split.TRAIN, "nut"),
        ("valid/a.jpg", Split.VAL, "gear"),
    ]


def write_lists(tree: Write, lists: dict[str, bytes], *, wrap: str = "") -> Path:
    files: Tree = {f"{wrap}ImageSets/Main/{name}.txt": text for name, text in lists.items()}
    for stem in "abcd":
        files |= {f"{wrap}JPEGImages/{stem}.jpg": b"", f"{wrap}Annotations/{stem}.xml": XML}
    return tree(files)


@pytest.mark.parametrize("wrap", ["", "VOC2007/"])
def test_splits_are_those_of_the_lists(tree: Write, wrap: str) -> None:
    lists = {"train": b"a\r\n", "val": b"b\n\n", "test": b"c", "trainval": b"a\nb\n"}
    found = listing(write_lists(tree, lists, wrap=wrap))
    assert [(one.name[-5], one.split) for one in found.samples] == [
        ("a", Split.TRAIN),
        ("b", Split.VAL),
        ("c", Split.TEST),
    ]
    assert found.unlisted == (f"{wrap}JPEGImages/d.jpg",)
    assert found.given == set(Split)
    assert found.others == ()


@pytest.mark.parametrize("lists", [{}, {"val": b"b\n"}])
def test_trainval_is_train_where_there_is_no_train(tree: Write, lists: dict[str, bytes]) -> None:
    found = listing(write_lists(tree, {"trainval": b"a\nb\nc\n", "test": b"d\n", **lists}))
    splits = {one.name[-5]: one.split for one in found.samples}
    val = Split.VAL if lists else Split.TRAIN
    assert splits == {"a": Split.TRAIN, "b": val, "c": Split.TRAIN, "d": Split.TEST}


def test_image_in_two_lists_is_refused(tree: Write) -> None:
    with pytest.raises(
        DataError, match=r"JPEGImages/a\.jpg is listed in test\.txt and in train\.txt"
    ):
        listing(write_lists(tree, {"train": b"a\nb\n", "test": b"a\n"}))


def test_listed_name_without_a_image_is_named_with_its_line(tree: Write) -> None:
    found = listing(write_lists(tree, {"train": b"a\nz.jpg\n"}))
    expected = "ImageSets/Main/train.txt:2: there is no image 'z.jpg'"
    assert problems(found) == [(expected, Drop.STRAY_LABELS, "")]


@pytest.mark.parametrize("filename", ["C:\\images\\old.jpg", "../images/old.jpg", "", "a.png"])
def test_stale_file_name_inside_does_not_matter(tree: Write, filename: str) -> None:
    found = listing(tree({"a.jpg": b"", "a.xml": xml((1, 2, 3, 4), filename=filename)}))
    assert problems(found) == []
    assert len(found.samples[0].boxes) == 1


def test_file_name_inside_is_taken_where_the_names_differ(tree: Write) -> None:
    text = xml((1, 2, 3, 4), filename="C:\\images\\b.jpg")
    found = listing(tree({"images/b.jpg": b"", "annotations/0001.xml": text}))
    assert [(one.name, len(one.boxes)) for one in found.samples] == [("images/b.jpg", 1)]


def test_file_name_of_another_image_is_a_contradiction(tree: Write) -> None:
    text = xml((1, 2, 3, 4), filename="b.jpg")
    found = listing(tree({"a.jpg": b"", "a.xml": text, "b.jpg": b"", "b.xml": XML}))
    what = "a.xml: names the image 'b.jpg', but is called like a.jpg"
    assert problems(found) == [(what, Drop.BAD_LABELS, "a.jpg")]


def test_images_and_labels_without_each_other_are_named(tree: Write) -> None:
    root = tree({"a.jpg": b"", "a.xml": XML, "b.jpg": b"", "c.xml": XML, "d.xml": xml()})
    found = listing(root)
    assert [(one.name, one.labelled) for one in found.samples] == [
        ("a.jpg", True),
        ("b.jpg", False),
    ]
    assert problems(found) == [
        ("c.xml", Drop.STRAY_LABELS, ""),
        ("d.xml", Drop.STRAY_LABELS, ""),
    ]


def test_labels_of_an_excluded_image_are_not_stray(tree: Write) -> None:
    root = tree({"a.jpg": b"", "a.xml": XML, "b.jpg": b"", "b.xml": b"<annotation>"})
    found = listing(root, "b.jpg")
    assert problems(found) == []
    assert [one.name for one in found.samples] == ["a.jpg"]


def test_several_images_or_labels_of_one_name_are_refused(tree: Write) -> None:
    root = tree({"a.jpg": b"", "a.png": b"", "a.xml": XML})
    assert problems(listing(root)) == [("a.xml: can be about a.jpg or a.png", None, "")]
    assert problems(listing(root, "a.png")) == []


def test_image_with_two_label_files_is_refused(tree: Write) -> None:
    found = listing(tree({"images/a.jpg": b"", "annotations/a.xml": XML, "labels/a.xml": XML}))
    assert problems(found) == [("images/a.jpg: labels/a.xml is not the only one", None, "")]


def test_image_without_objects_is_labelled_and_size_0_is_none(tree: Write) -> None:
    text = xml().replace(b"64", b"0")
    (sample,) = listing(tree({"a.jpg": b"", "a.xml": text})).samples
    assert sample.labelled
    assert sample.boxes == ()
    assert sample.stated_size is None


def test_five_hundred_objects_are_read(tree: Write) -> None:
    boxes = [(k % 30, k % 20, k % 30 + 5, k % 20 + 5) for k in range(500)]
    (sample,) = listing(tree({"a.jpg": b"", "a.xml": xml(*boxes)})).samples
    assert len(sample.boxes) == 500
    assert sample.boxes[-1].where == "a.xml, object 500"


BOMB = (
    b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
    b"<annotation><object><name>&b;</name></object></annotation>"
)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        pytest.param(XML[:80], "no sound XML (unclosed token", id="cut short"),
        pytest.param(b"", "no sound XML (no element found", id="empty"),
        pytest.param(b"<annotation>\xff</annotation>", "no sound XML (not well-formed", id="bytes"),
        pytest.param(BOMB, "declares XML entities, which are not read", id="bomb"),
        pytest.param(
            b'<?xml version="1.0" encoding="martian"?><annotation/>',
            "no sound XML (unknown encoding",
            id="encoding",
        ),
        pytest.param(b"<x><annotation/></x>", "holds <x>, not <annotation>", id="root"),
        pytest.param(xml((1, 2, 3, "4a")), "object 1: <ymax> is '4a', not a number", id="word"),
        pytest.param(xml((1, "nan", 3, 4)), "<ymin> is 'nan', not a finite number", id="nan"),
        pytest.param(xml(("9" * 5000, 1, 3, 4)), "not a finite number", id="huge"),
        pytest.param(xml((1, 2, 3, 4), name=""), "object 1: has no <name>", id="no name"),
        pytest.param(XML.replace(b"bndbox", b"polygon"), "(nut): has no <bndbox>", id="polygon"),
    ],
)
def test_broken_file_is_named(tree: Write, text: bytes, what: str) -> None:
    found = listing(tree({"a.jpg": b"", "a.xml": text, "b.jpg": b"", "b.xml": XML}))
    ((example, drop, image),) = problems(found)
    assert example.startswith("a.xml: ")
    assert what in example
    assert (drop, image) == (Drop.BAD_LABELS, "a.jpg")
    assert [one.labelled for one in found.samples] == [True, True]
