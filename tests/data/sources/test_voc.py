from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgetl.config.recipe import Drop, Repair
from edgetl.data.container import open_container
from edgetl.data.sources import SOURCES, Listing, list_samples
from edgetl.errors import DataError
from edgetl.tasks import TASKS
from edgetl.types import Split

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
    return list_samples(
        open_container(root, exclude=exclude), "images", TASKS.load("detection").data
    )


def problems(listed: Listing) -> list[tuple[str, Drop | None, str]]:
    return [(problem.example, problem.drop, problem.image) for problem in listed.problems]


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
    listed = listing(tree({image: b"", label: text}))
    (sample,) = listed.samples
    assert (sample.name, sample.split, sample.relative) == (image, None, False)
    assert sample.stated_size == (48, 64)
    # Coordinates are not changed.
    assert [box.corners for box in sample.boxes] == [(1, 2, 3.5, 4), (10, 20, 30, 40)]
    assert sample.boxes[1].where == f"{label}, object 2"
    assert sample.boxes[1].difficult
    assert listed.classes == ("Gew\u00fcnde stift",)
    assert listed.labels == (label,)
    assert problems(listed) == []


def test_images_of_one_name_in_different_splits_have_their_own_labels(tree: Write) -> None:
    files: Tree = {}
    for split, name in (("train", "nut"), ("valid", "gear"), ("test", "screw")):
        files |= {f"{split}/a.jpg": b"", f"{split}/a.xml": xml((1, 2, 3, 4), name=name)}
    listed = listing(tree(files))
    assert [(one.name, one.split, one.boxes[0].label) for one in listed.samples] == [
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
def test_splits_follow_the_lists(tree: Write, wrap: str) -> None:
    lists = {"train": b"a\r\n", "val": b"b\n\n", "test": b"c", "trainval": b"a\nb\n"}
    listed = listing(write_lists(tree, lists, wrap=wrap))
    assert [(one.name[-5], one.split) for one in listed.samples] == [
        ("a", Split.TRAIN),
        ("b", Split.VAL),
        ("c", Split.TEST),
    ]
    assert listed.unlisted == (f"{wrap}JPEGImages/d.jpg",)
    assert listed.given == set(Split)
    assert listed.others == ()


@pytest.mark.parametrize("lists", [{}, {"val": b"b\n"}])
def test_trainval_replaces_a_missing_train_list(tree: Write, lists: dict[str, bytes]) -> None:
    listed = listing(write_lists(tree, {"trainval": b"a\nb\nc\n", "test": b"d\n", **lists}))
    splits = {one.name[-5]: one.split for one in listed.samples}
    val = Split.VAL if lists else Split.TRAIN
    assert splits == {"a": Split.TRAIN, "b": val, "c": Split.TRAIN, "d": Split.TEST}


def test_image_in_two_lists_is_refused(tree: Write) -> None:
    with pytest.raises(
        DataError, match=r"JPEGImages/a\.jpg is listed in test\.txt and in train\.txt"
    ):
        listing(write_lists(tree, {"train": b"a\nb\n", "test": b"a\n"}))


def test_listed_name_without_an_image_is_named_with_its_line(tree: Write) -> None:
    listed = listing(write_lists(tree, {"train": b"a\nz.jpg\n"}))
    expected = "ImageSets/Main/train.txt:2: there is no image 'z.jpg'"
    assert problems(listed) == [(expected, Drop.STRAY_LABELS, "")]


@pytest.mark.parametrize("filename", ["C:\\images\\old.jpg", "../images/old.jpg", "", "a.png"])
def test_stale_file_name_in_the_xml_does_not_matter(tree: Write, filename: str) -> None:
    listed = listing(tree({"a.jpg": b"", "a.xml": xml((1, 2, 3, 4), filename=filename)}))
    assert problems(listed) == []
    assert len(listed.samples[0].boxes) == 1


def test_file_name_in_the_xml_is_used_if_the_names_differ(tree: Write) -> None:
    text = xml((1, 2, 3, 4), filename="C:\\images\\b.jpg")
    listed = listing(tree({"images/b.jpg": b"", "annotations/0001.xml": text}))
    assert [(one.name, len(one.boxes)) for one in listed.samples] == [("images/b.jpg", 1)]


def test_file_name_of_another_image_is_a_contradiction(tree: Write) -> None:
    text = xml((1, 2, 3, 4), filename="b.jpg")
    listed = listing(tree({"a.jpg": b"", "a.xml": text, "b.jpg": b"", "b.xml": XML}))
    what = "a.xml: refers to 'b.jpg', but its own name matches a.jpg"
    assert problems(listed) == [(what, Drop.BAD_LABELS, "a.jpg")]


def test_images_without_labels_and_vice_versa_are_named(tree: Write) -> None:
    root = tree({"a.jpg": b"", "a.xml": XML, "b.jpg": b"", "c.xml": XML, "d.xml": xml()})
    listed = listing(root)
    assert [(one.name, one.labelled) for one in listed.samples] == [
        ("a.jpg", True),
        ("b.jpg", False),
    ]
    assert problems(listed) == [
        ("c.xml", Drop.STRAY_LABELS, ""),
        ("d.xml", Drop.STRAY_LABELS, ""),
    ]


def test_labels_of_an_excluded_image_are_not_stray(tree: Write) -> None:
    root = tree({"a.jpg": b"", "a.xml": XML, "b.jpg": b"", "b.xml": b"<annotation>"})
    listed = listing(root, "b.jpg")
    assert problems(listed) == []
    assert [one.name for one in listed.samples] == ["a.jpg"]


def test_several_images_or_labels_of_one_name_are_refused(tree: Write) -> None:
    root = tree({"a.jpg": b"", "a.png": b"", "a.xml": XML})
    assert problems(listing(root)) == [("a.xml: matches a.jpg and a.png", None, "")]
    assert problems(listing(root, "a.png")) == []


def test_image_with_two_label_files_is_refused(tree: Write) -> None:
    listed = listing(tree({"images/a.jpg": b"", "annotations/a.xml": XML, "labels/a.xml": XML}))
    assert problems(listed) == [("images/a.jpg: labels/a.xml is not the only one", None, "")]


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
        pytest.param(XML[:80], "not valid XML (unclosed token", id="cut short"),
        pytest.param(b"", "not valid XML (no element found", id="empty"),
        pytest.param(
            b"<annotation>\xff</annotation>", "not valid XML (not well-formed", id="bytes"
        ),
        pytest.param(BOMB, "declares XML entities, which are not supported", id="bomb"),
        pytest.param(
            b'<?xml version="1.0" encoding="martian"?><annotation/>',
            "not valid XML (unknown encoding",
            id="encoding",
        ),
        pytest.param(b"<x><annotation/></x>", "contains <x>, not <annotation>", id="root"),
        pytest.param(xml((1, 2, 3, "4a")), "object 1: <ymax> is '4a', not a number", id="word"),
        pytest.param(xml((1, "nan", 3, 4)), "<ymin> is 'nan', not a finite number", id="nan"),
        pytest.param(xml(("9" * 5000, 1, 3, 4)), "not a finite number", id="huge"),
        pytest.param(xml((1, 2, 3, 4), name=""), "object 1: has no <name>", id="no name"),
        pytest.param(XML.replace(b"bndbox", b"polygon"), "(nut): has no <bndbox>", id="polygon"),
    ],
)
def test_broken_file_is_named(tree: Write, text: bytes, what: str) -> None:
    listed = listing(tree({"a.jpg": b"", "a.xml": text, "b.jpg": b"", "b.xml": XML}))
    ((example, drop, image),) = problems(listed)
    assert example.startswith("a.xml: ")
    assert what in example
    assert (drop, image) == (Drop.BAD_LABELS, "a.jpg")
    assert [one.labelled for one in listed.samples] == [True, True]


@pytest.mark.parametrize(
    ("encoding", "stated"),
    [
        ("utf-16", "utf-16"),
        ("utf-16", ""),
        ("utf-8-sig", "utf-8"),
        ("gb2312", "gb2312"),
        ("latin-1", "latin-1"),
    ],
)
def test_xml_is_read_in_its_encoding(tree: Write, encoding: str, stated: str) -> None:
    name = "\u00e9crou" if encoding == "latin-1" else "\u87ba\u6bcd"
    head = f'<?xml version="1.0" encoding="{stated}"?>' if stated else ""
    text = head + XML.decode().replace("nut", name)
    listed = listing(tree({"a.jpg": b"", "a.xml": text.encode(encoding)}))
    assert listed.classes == (name,)
    assert listed.problems == ()


def test_xml_that_is_not_in_its_stated_encoding_is_named(tree: Write) -> None:
    text = b'<?xml version="1.0" encoding="gb2312"?><annotation>\xff\xff</annotation>'
    files: Tree = {"a.jpg": b"", "a.xml": text, "b.jpg": b"", "b.xml": XML}
    ((example, drop, image),) = problems(listing(tree(files)))
    assert (example, drop, image) == (
        "a.xml: not gb2312 text (byte 51)",
        Drop.BAD_LABELS,
        "a.jpg",
    )


def test_annotations_of_cvat_are_not_pascal_voc(tree: Write) -> None:
    container = open_container(
        tree({"a.jpg": b"", "x.xml": b"<annotations><image/></annotations>"})
    )
    assert not SOURCES.load("voc").recognises(container)


_POINTS = ((3, 9), (20, 2), (8, 30))
NUMBERED = "".join(f"<x{k}>{x}</x{k}><y{k}>{y}</y{k}>" for k, (x, y) in enumerate(_POINTS, 1))
LISTED = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in _POINTS)
ORIENTED = "<robndbox><cx>20</cx><cy>20</cy><w>20</w><h>{}</h><angle>{}</angle></robndbox>"
DIAGONAL = 200**0.5


@pytest.mark.parametrize(
    ("outline", "corners"),
    [
        (f"<polygon>{NUMBERED}</polygon>", (3, 2, 20, 30)),
        (f"<polygon>{LISTED}</polygon>", (3, 2, 20, 30)),
        (ORIENTED.format(10, 1.57079633), (15, 10, 25, 30)),
        (ORIENTED.format(20, 0.78539816), (20 - DIAGONAL,) * 2 + (20 + DIAGONAL,) * 2),
    ],
    ids=["polygon", "points", "quarter turn", "eighth turn"],
)
def test_outline_without_a_box_needs_a_repair(
    tree: Write, outline: str, corners: tuple[float, ...]
) -> None:
    text = f"<annotation><object><name>nut</name>{outline}</object></annotation>"
    (sample,) = listing(tree({"a.jpg": b"", "a.xml": text.encode()})).samples
    (box,) = sample.boxes
    assert box.needs is Repair.OUTLINES
    assert box.corners == pytest.approx(corners)
