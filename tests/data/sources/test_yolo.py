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

NAMES = b"names: [nut, Zahnr\xc3\xa4der, hex screw]\n"
LINE = b"1 0.5 0.25 0.2 0.1\n"


def listing(root: Path, *exclude: str) -> Listing:
    return list_samples(
        open_container(root, exclude=exclude), "images", TASKS.load("detection").data
    )


def problems(listed: Listing) -> list[tuple[str, Drop | None, str]]:
    return [(problem.example, problem.drop, problem.image) for problem in listed.problems]


def test_boxes_are_corners_as_fractions(tree: Write) -> None:
    root = tree(
        {"data.yaml": NAMES, "images/a b.jpg": b"", "labels/a b.txt": LINE + b"2 .5 .5 1 1"}
    )
    listed = listing(root)
    (sample,) = listed.samples
    assert listed.classes == ("nut", "Zahnr\u00e4der", "hex screw")
    assert (sample.name, sample.split, sample.relative) == ("images/a b.jpg", None, True)
    assert [box.label for box in sample.boxes] == ["Zahnr\u00e4der", "hex screw"]
    # centre 0.5, 0.25 and size 0.2 x 0.1
    assert sample.boxes[0].corners == pytest.approx((0.4, 0.2, 0.6, 0.3))
    assert sample.boxes[1].where == "labels/a b.txt:2"
    assert listed.labels == ("labels/a b.txt", "data.yaml")
    assert problems(listed) == []


@pytest.mark.parametrize(
    "names",
    [
        pytest.param({"data.yaml": b"names: {0: nut, 1: screw}\nnc: 2\n"}, id="table"),
        pytest.param({"parts.yml": b"names: [nut, screw]\n"}, id="list"),
        pytest.param({"labels/classes.txt": b"nut\r\nscrew\r\n"}, id="classes.txt"),
    ],
)
def test_names_come_from_a_list_a_table_or_a_text_file(tree: Write, names: Tree) -> None:
    root = tree({**names, "images/a.jpg": b"", "labels/a.txt": LINE})
    assert listing(root).classes == ("nut", "screw")


def test_windows_line_ends_byte_order_marks_and_upper_case_suffixes_are_read(tree: Write) -> None:
    root = tree(
        {
            "data.yaml": b"\xef\xbb\xbf" + NAMES.replace(b"\n", b"\r\n"),
            "IMAGES/A.JPG": b"",
            "labels/A.TXT": b"\xef\xbb\xbf0 0.5 0.5 1 1\r\n\r\n1 0.5 0.5 1 1\r\n",
        }
    )
    listed = listing(root)
    assert [box.label for box in listed.samples[0].boxes] == ["nut", "Zahnr\u00e4der"]
    assert listed.samples[0].boxes[1].where == "labels/A.TXT:3"


def test_image_with_an_empty_label_file_is_background(tree: Write) -> None:
    root = tree({"data.yaml": NAMES, "images/a.jpg": b"", "labels/a.txt": b" \n"})
    (sample,) = listing(root).samples
    assert sample.labelled
    assert sample.boxes == ()


def test_image_without_a_label_file_is_not_labelled(tree: Write) -> None:
    root = tree({"data.yaml": NAMES, "images/a.jpg": b"", "images/b.jpg": b"", "labels/a.txt": b""})
    assert [sample.labelled for sample in listing(root).samples] == [True, False]


@pytest.mark.parametrize(
    "yaml",
    [
        b"train: images/train\nval: images/val\ntest: images/test\n",
        b"path: /home/somebody/parts\ntrain: images/train\nval: [images/val]\ntest: images/test/\n",
        b"path: ..\\parts\ntrain: ../images/train\nval: ./images/val\ntest: images/test\n",
        b"train: train.txt\nval: images/val\ntest: images/test\n",
        b"",
    ],
    ids=["relative", "absolute", "backslashes", "list", "folders"],
)
def test_splits_follow_data_yaml_or_folders(tree: Write, yaml: bytes) -> None:
    images = {f"images/{split}/{split}.jpg": b"" for split in ("train", "val", "test")}
    labels = {f"labels/{split}/{split}.txt": LINE for split in ("train", "val", "test")}
    lists = {"train.txt": b"./images/train/train.jpg\n"} if b"train.txt" in yaml else {}
    files = {"data.yaml": NAMES + yaml, **images, **labels, **lists}
    listed = listing(tree({f"wrap/{name}": text for name, text in files.items()}))
    assert {sample.name.split("/")[2]: sample.split for sample in listed.samples} == {
        "train": Split.TRAIN,
        "val": Split.VAL,
        "test": Split.TEST,
    }
    assert listed.given == set(Split)
    assert listed.others == ()
    assert all(len(sample.boxes) == 1 for sample in listed.samples)


def test_images_and_labels_below_split_folders_are_found(tree: Write) -> None:
    """Exporters write `train: ../train/images` although `train/` is next to the file."""
    yaml = NAMES + b"train: ../train/images\nval: ../valid/images\n"
    listed = listing(
        tree(
            {
                "data.yaml": yaml,
                "train/images/a.jpg": b"",
                "train/labels/a.txt": LINE,
                "valid/images/b.jpg": b"",
                "valid/labels/b.txt": LINE,
                "spare/images/c.jpg": b"",
                "spare/labels/c.txt": b"broken",
            }
        )
    )
    assert [(one.name, one.split) for one in listed.samples] == [
        ("train/images/a.jpg", Split.TRAIN),
        ("valid/images/b.jpg", Split.VAL),
    ]
    assert listed.unlisted == ("spare/images/c.jpg",)
    assert problems(listed) == []


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("1 0.5 0.5 0.1", "has 4 columns; expected class, centre x, centre y, width, height"),
        ("1 .5 .5 .1 .1 .9", "has 6 columns; expected class, centre x, centre y, width, height"),
        ("1 .1 .1 .2 .1 .2 .2 .1", "has 8 columns; expected class, centre x, centre y, width"),
        ("1 .1 .1 .2 .1 .2 320", "'320' is not a fraction of the image, 0 to 1; is it in pixels?"),
        ("nut .5 .5 .1 .1", "'nut' is not a number"),
        ("1.5 .5 .5 .1 .1", "class '1.5' is not a whole number"),
        ("3 .5 .5 .1 .1", "there is no class 3; 3 are named, from 0 to 2"),
        ("-1 .5 .5 .1 .1", "there is no class -1; 3 are named, from 0 to 2"),
        ("9" * 400 + " .5 .5 .1 .1", "' is not a finite number"),
        ("1 nan .5 .1 .1", "'nan' is not a finite number"),
        ("1 .5 inf .1 .1", "'inf' is not a finite number"),
        ("1 320 .5 64 .1", "'320' is not a fraction of the image, 0 to 1; is it in pixels?"),
        ("1", "has 1 column; expected class, centre x"),
        (
            "1,0.5,0.5,0.1,0.1",
            "has no spaces; separate by spaces, not by commas: class",
        ),
        (
            "1;.5;.5;.1;.1",
            "has no spaces; separate by spaces, not by commas: class, ce",
        ),
        ("1, .5, .5, .1, .1", "'1,' is not a number; separate by spaces only"),
        ("1 0,5 0,5 0,1 0,1", "'0,5' is not a number; use a decimal point"),
    ],
)
def test_broken_line_is_named_with_file_and_line(tree: Write, line: str, what: str) -> None:
    text = LINE + line.encode() + b"\n" + LINE
    listed = listing(tree({"data.yaml": NAMES, "images/a.jpg": b"", "labels/a.txt": text}))
    ((example, drop, image),) = problems(listed)
    assert example.startswith("labels/a.txt:2: ")
    assert what in example
    assert (drop, image) == (Drop.BAD_LABELS, "images/a.jpg")
    assert listed.problems[0].title == "broken label line"
    assert len(listed.samples[0].boxes) == 2


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("1 0,5 0,5 0,1 0,1", True),
        ("1,0.5,0.5,0.1,0.1", True),
        ("1, .5, .5, .1, .1", True),
        ("nut .5 .5 .1 .1", False),
    ],
)
def test_numbers_with_commas_come_with_the_way_to_rewrite_them(
    tree: Write, line: str, *, advice: bool
) -> None:
    root = tree({"data.yaml": NAMES, "images/a.jpg": b"", "labels/a.txt": line.encode()})
    (problem,) = listing(root).problems
    assert problem.advice.startswith("write the numbers with decimal points") is advice


@pytest.mark.parametrize(
    ("line", "corners", "needs"),
    [
        ("1 .3 .4 .7 .35 .65 .75 .25 .7", (0.25, 0.35, 0.7, 0.75), Repair.OUTLINES),
        ("1 .3 .3 .7 .3 .7 .7 .5 .8 .3 .7", (0.3, 0.3, 0.7, 0.8), Repair.OUTLINES),
        ("1 .1 .1 .2 .1 .2 .2", (0.1, 0.1, 0.2, 0.2), Repair.OUTLINES),
        ("1 320 240 64 40", (288, 220, 352, 260), Repair.PIXELS),
    ],
    ids=["oriented", "polygon", "triangle", "pixels"],
)
def test_outlines_and_boxes_in_pixels_need_a_repair(
    tree: Write, line: str, corners: tuple[float, ...], needs: Repair
) -> None:
    text = LINE + line.encode()
    listed = listing(tree({"data.yaml": NAMES, "images/a.jpg": b"", "labels/a.txt": text}))
    first, second = listed.samples[0].boxes
    assert (first.needs, second.needs) == (None, needs)
    assert second.corners == pytest.approx(corners)
    assert listed.problems == ()


def test_data_yaml_that_is_there_twice_is_one(tree: Write) -> None:
    files = {"images/a.jpg": b"", "labels/a.txt": LINE}
    listed = listing(tree({"data.yaml": NAMES, "dataset.yaml": NAMES, **files}))
    assert len(listed.samples[0].boxes) == 1
    assert listed.others == ()


def test_label_file_that_is_not_text_is_named(tree: Write) -> None:
    root = tree({"data.yaml": NAMES, "images/a.jpg": b"", "labels/a.txt": b"1 0.5\xff"})
    assert problems(listing(root)) == [
        ("labels/a.txt: not UTF-8 text (byte 5)", Drop.BAD_LABELS, "images/a.jpg")
    ]


def test_labels_without_an_image_are_named_unless_it_is_excluded(tree: Write) -> None:
    files = {"images/a.jpg": b"", "images/b.jpg": b"", "labels/a.txt": LINE, "labels/b.txt": b"x"}
    root = tree({"data.yaml": NAMES, **files, "labels/c.txt": LINE, "labels/notes.txt": b"hello"})
    listed = listing(root, "images/b.jpg")
    assert problems(listed) == [("labels/c.txt", Drop.STRAY_LABELS, "")]
    assert [sample.name for sample in listed.samples] == ["images/a.jpg"]
    assert listed.others == ("labels/notes.txt",)


def test_missing_listed_image_is_named_with_its_line(tree: Write) -> None:
    lines = b"images/a.jpg\n\nimages/b.jpg\n"
    root = tree(
        {
            "data.yaml": NAMES + b"train: train.txt\n",
            "train.txt": lines,
            "images/a.jpg": b"",
            "labels/a.txt": LINE,
        }
    )
    expected = ("train.txt:3: there is no image 'images/b.jpg'", Drop.STRAY_LABELS, "")
    assert problems(listing(root)) == [expected]


def test_labels_that_match_two_images_are_refused_until_one_is_excluded(tree: Write) -> None:
    files = {"images/a.jpg": b"", "images/a.png": b"", "labels/a.txt": LINE}
    root = tree({"data.yaml": NAMES, **files})
    assert problems(listing(root)) == [
        ("labels/a.txt: matches images/a.jpg and images/a.png", None, "")
    ]
    listed = listing(root, "images/a.jpg")
    assert problems(listed) == []
    assert [(one.name, len(one.boxes)) for one in listed.samples] == [("images/a.png", 1)]


@pytest.mark.parametrize(
    ("files", "what"),
    [
        pytest.param(
            {"data.yaml": None},
            r"there are labels/\*\.txt, but no data\.yaml, so their classes have no names",
            id="no names",
        ),
        pytest.param(
            {"data.yaml": b"names: {1: a, 2: b}"},
            r"the keys of `names` must be the numbers 0 to 1",
            id="gap",
        ),
        pytest.param({"data.yaml": b"names: []"}, "`names` must be a list of class", id="empty"),
        pytest.param({"data.yaml": b"names: [a, a]"}, "two classes have the same name", id="twice"),
        pytest.param({"data.yaml": b"names: [a, [b]]"}, "a name in `names` is not text", id="deep"),
        pytest.param({"data.yaml": b"names: [a]\nnc: 2"}, "`nc` is not 1, the number", id="nc"),
        pytest.param(
            {"data.yaml": NAMES, "other.yaml": NAMES + b"train: images\n"},
            r"several files define class names: data\.yaml, other\.yaml",
            id="two files",
        ),
        pytest.param(
            {"data.yaml": NAMES + b"train: images\nval: images\n"},
            r"image 'images/a\.jpg' is in train and in val",
            id="same images in two splits",
        ),
        pytest.param(
            {"data.yaml": NAMES + b"train: images\nval: elsewhere\n"},
            r"data\.yaml: there is no folder or list 'elsewhere' with images \(`val`\)",
            id="missing folder",
        ),
        pytest.param(
            {"data.yaml": NAMES + b"train: {a: b}\n"},
            "`train` must be a folder, a list file, or a list of these",
            id="no folder",
        ),
        pytest.param(
            {"data.yaml": NAMES + b"val: images\n"},
            "the YOLO labels have val but no train",
            id="no train",
        ),
        pytest.param(
            {"data.yaml": NAMES, "images/train/b.jpg": b"", "labels/train/b.txt": LINE},
            "some images of the YOLO labels are in train, some in no split",
            id="half divided",
        ),
    ],
)
def test_contradictory_layout_is_refused(tree: Write, files: Tree, what: str) -> None:
    present = {name: text for name, text in files.items() if text is not None}
    with pytest.raises(DataError, match=what):
        listing(tree({"images/a.jpg": b"", "labels/a.txt": LINE, **present}))


def test_labels_beside_images_without_names_are_refused_as_yolo(tree: Write) -> None:
    files: Tree = {"train/a.jpg": b"", "train/a.txt": LINE, "train/b.jpg": b"", "train/b.txt": b""}
    with pytest.raises(DataError, match=r"no data\.yaml, so their classes have no names"):
        listing(tree(files))


def test_texts_beside_images_that_are_no_label_lines_are_not_yolo(tree: Write) -> None:
    container = open_container(tree({"a/a.jpg": b"", "a/a.txt": b"a nut on a table"}))
    assert not SOURCES.load("yolo").recognises(container)


@pytest.mark.parametrize("file", ["classes.txt", "_darknet.labels"])
def test_equal_names_in_every_split_are_read_once(tree: Write, file: str) -> None:
    files = {f"{split}/{name}": content for split in ("train", "val")
             for name, content in ((f"{split}.jpg", b""), (f"{split}.txt", LINE))}  # fmt: skip
    names = {f"train/{file}": b"gear\nnut\n", f"val/{file}": b"gear\r\nnut"}
    listed = listing(tree({**files, **names}))
    assert listed.classes == ("gear", "nut")
    assert {*names} <= {*listed.labels}
    assert listed.others == ()
    with pytest.raises(DataError, match=f"several files define class names: train/{file}, val/"):
        listing(tree({**files, **names, f"val/{file}": b"nut\ngear"}))


def test_key_points_after_the_box_are_no_outline(tree: Write) -> None:
    names = b"names: [nut, screw]\nkpt_shape: [3, 2]\n"
    line = b"1 0.5 0.25 0.2 0.1 .1 .1 .2 .2 .3 .3\n"
    listed = listing(tree({"data.yaml": names, "images/a.jpg": b"", "labels/a.txt": line}))
    (box,) = listed.samples[0].boxes
    assert box.corners == pytest.approx((0.4, 0.2, 0.6, 0.3))
    assert (box.label, box.needs) == ("screw", None)


def test_line_without_the_stated_key_points_is_named(tree: Write) -> None:
    names = b"names: [nut, screw]\nkpt_shape: [2, 3]\n"
    listed = listing(tree({"data.yaml": names, "images/a.jpg": b"", "labels/a.txt": LINE}))
    ((example, _, _),) = problems(listed)
    assert example == (
        "labels/a.txt:1: has 5 columns; expected class, centre x, centre y, width, height and 6 "
        "numbers of key points, by `kpt_shape`"
    )


@pytest.mark.parametrize("shape", ["17", "[17]", "[a, b]", "[1.5, 3]"])
def test_wrong_shape_of_key_points_is_refused(tree: Write, shape: str) -> None:
    names = f"names: [nut, screw]\nkpt_shape: {shape}\n".encode()
    with pytest.raises(DataError, match=r"data\.yaml: `kpt_shape` must be two whole numbers"):
        listing(tree({"data.yaml": names, "images/a.jpg": b"", "labels/a.txt": LINE}))


def test_confidence_after_the_box_is_to_be_removed(tree: Write) -> None:
    line = b"1 0.5 0.25 0.2 0.1 0.93\n"
    listed = listing(tree({"data.yaml": NAMES, "images/a.jpg": b"", "labels/a.txt": line}))
    (problem,) = listed.problems
    assert problem.example.endswith("is the last one the confidence of a prediction?")
    assert problem.advice == "remove the sixth column, for example with `cut -d' ' -f1-5`"


POINTS = b"1 0.5 0.25 0.2 0.1 .45 .22 .5 .25 .58 .28\n"


def test_key_points_are_to_be_stated_where_all_outlines_look_like_a_box_with_points(
    tree: Write,
) -> None:
    files: Tree = {f"images/{k}.jpg": b"" for k in range(3)}
    labels: Tree = {f"labels/{k}.txt": POINTS for k in range(3)}
    listed = listing(tree({"data.yaml": NAMES, **files, **labels}))
    assert {problem.title for problem in listed.problems} == {
        "label line that seems to have a box and key points"
    }
    assert [problem.example for problem in listed.problems] == [
        f"labels/{k}.txt:1" for k in range(3)
    ]
    fix = "state how many they are in data.yaml, for example `kpt_shape: [17, 3]`"
    assert {problem.fix for problem in listed.problems} == {fix}
    assert [box.needs for sample in listed.samples for box in sample.boxes] == [None] * 3


def test_outlines_are_no_key_points_if_one_goes_beyond_its_first_numbers(tree: Write) -> None:
    files: Tree = {f"images/{k}.jpg": b"" for k in range(4)}
    labels: Tree = {f"labels/{k}.txt": POINTS for k in range(3)}
    labels["labels/3.txt"] = b"1 .1 .1 .5 .1 .9 .5 .5 .9 .1 .5\n"
    listed = listing(tree({"data.yaml": NAMES, **files, **labels}))
    assert listed.problems == ()
    assert [box.needs for sample in listed.samples for box in sample.boxes] == [Repair.OUTLINES] * 4


def test_names_without_labels_are_those_of_class_folders(tree: Write) -> None:
    files: Tree = {"config.yaml": b"names: [cat, dog]\n", "cat/1.jpg": b"", "dog/2.jpg": b""}
    container = open_container(tree(files))
    assert not SOURCES.load("yolo").recognises(container)
    listed = list_samples(container, "images", TASKS.load("classification").data)
    assert listed.classes == ("cat", "dog")


def test_lists_name_the_splits_where_nothing_else_does(tree: Write) -> None:
    files: Tree = {"obj.names": b"nut\nscrew\n"}
    for k in range(4):
        files |= {f"obj/{k}.jpg": b"", f"obj/{k}.txt": LINE}
    lists: Tree = {
        "train.txt": b"data/obj/0.jpg\ndata/obj/1.jpg\n",
        "valid.txt": b"data/obj/2.jpg\n",
    }
    listed = listing(tree({**files, **lists}))
    assert {sample.name: sample.split for sample in listed.samples} == {
        "obj/0.jpg": Split.TRAIN,
        "obj/1.jpg": Split.TRAIN,
        "obj/2.jpg": Split.VAL,
    }
    assert listed.unlisted == ("obj/3.jpg",)
    assert {"train.txt", "valid.txt"} <= {*listed.labels}
    assert listed.problems == ()
