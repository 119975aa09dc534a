"""Tables of labels: which columns are read, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from edgetl.data.container import open_container
from edgetl.data.listing_notes import notes_of
from edgetl.data.sources import Listing, list_samples
from edgetl.errors import DataError
from edgetl.tasks import TASKS
from edgetl.types import Split

Tree = Mapping[str, bytes | None]
Write = Callable[[Tree], Path]


def listing(root: Path, *exclude: str, task: str = "classification") -> Listing:
    container = open_container(root, exclude=exclude)
    return list_samples(container, "images", TASKS.load(task).data)


def labels(listed: Listing) -> dict[str, str]:
    return {sample.name: sample.label for sample in listed.samples}


def images(*names: str) -> dict[str, bytes | None]:
    return {f"images/{name}": b"" for name in names}


CAT_AND_DOG = {"images/a.jpg": "cat", "images/b.jpg": "dog"}


@pytest.mark.parametrize(
    "table",
    [
        "file,label\na.jpg,cat\nb.jpg,dog\n",
        "label;Image ID\ncat;a\ndog;b\n",
        '"image_path"\t"species"\n"C:\\data\\images\\a.jpg"\t"cat"\nx/images/b.jpg\t"dog"\n',
        "\ufeffid,is_what\r\na,cat\r\nb,dog\r\n",
        "Filename, breed , width\na.jpg, cat , 20\n\nb.jpg,dog,30\n",
        "filename,label,split\na.jpg,cat,\nb.jpg,dog,\n",
        "url,class id,labels\nhttp://host/a.jpg,0,cat\nhttp://host/b.jpg,1,dog\n",
    ],
    ids=["plain", "semicolons", "paths", "mark", "spaces", "empty split", "other columns"],
)
def test_columns_are_recognised_by_their_content(tree: Write, table: str) -> None:
    listed = listing(tree({**images("a.jpg", "b.jpg"), "meta.csv": table.encode()}))
    assert labels(listed) == CAT_AND_DOG
    assert listed.layout == "csv_classes"
    assert listed.given == frozenset()


def test_table_in_utf_16_is_read(tree: Write) -> None:
    table = "file,label\na.jpg,cat\nb.jpg,dog\n".encode("utf-16")
    assert labels(listing(tree({**images("a.jpg", "b.jpg"), "x.csv": table}))) == CAT_AND_DOG


def test_images_without_a_line_and_lines_without_an_image_are_named(tree: Write) -> None:
    table = b"file,label\na.jpg,cat\nb.jpg,dog\nnowhere.jpg,dog\n"
    listed = listing(tree({**images("a.jpg", "b.jpg", "c.jpg"), "x.csv": table}))
    assert listed.unlabelled == ("images/c.jpg",)
    (problem,) = listed.problems
    assert problem.example == "x.csv:4: there is no image 'nowhere.jpg'"
    assert problem.drop == "stray-labels"


def test_split_is_that_of_the_file(tree: Write) -> None:
    files: dict[str, bytes | None] = {
        **images("1.jpg", "2.jpg", "3.jpg", "4.jpg"),
        "train.csv": b"file,label\n1.jpg,cat\n2.jpg,dog\n",
        "test.csv": b"file,label\n3.jpg,cat\n4.jpg,dog\n",
    }  # fmt: skip
    splits = {sample.name: sample.split for sample in listing(tree(files)).samples}
    assert splits == {
        "images/1.jpg": Split.TRAIN,
        "images/2.jpg": Split.TRAIN,
        "images/3.jpg": Split.TEST,
        "images/4.jpg": Split.TEST,
    }


def test_made_up_labels_of_a_competition_are_not_read(tree: Write) -> None:
    files: dict[str, bytes | None] = {
        "train/a.jpg": b"", "train/b.jpg": b"", "test/c.jpg": b"",
        "train.csv": b"id,label\na,cat\nb,dog\n", "sample_submission.csv": b"id,label\nc,cat\n",
    }  # fmt: skip
    listed = listing(tree(files))
    assert labels(listed) == {"train/a.jpg": "cat", "train/b.jpg": "dog"}
    assert listed.unlabelled == ("test/c.jpg",)


@pytest.mark.parametrize(
    ("table", "what"),
    [
        ("file,label\na.jpg,cat\nb.jpg,dog\na.jpg,dog\n", "x.csv:4: images/a.jpg is 'dog', and"),
        ("file,label\na.jpg,cat|dog\nb.jpg,dog\nc.jpg,cat\n", "images/a.jpg has cat, dog"),
        ("file,cat,dog\na.jpg,1,1\nb.jpg,0,1\n", "x.csv:2: images/a.jpg is cat and dog"),
        ("file,cat,dog\na.jpg,0,0\nb.jpg,0,1\n", "x.csv:2: images/a.jpg has 0 in every column"),
    ],
    ids=["two lines", "two in a cell", "two columns", "no column"],
)
def test_image_without_exactly_one_class_is_named(tree: Write, table: str, what: str) -> None:
    files = {**images("a.jpg", "b.jpg", "c.jpg"), "x.csv": table.encode()}
    (problem,) = listing(tree(files)).problems
    assert what in problem.example
    assert "give each image one class" in problem.fix


@pytest.mark.parametrize(
    "table",
    [
        "file,taken,device\na.jpg,2020,x\nb.jpg,2021,y\n",
        "a.jpg,cat\nb.jpg,dog\n",
        "file,x,y,w,h,class\na.jpg,1,2,3,4,cat\nb.jpg,1,2,3,4,dog\n",
    ],
    ids=["no class", "no header", "boxes of an unknown kind"],
)
def test_table_whose_labels_are_unclear_is_named(tree: Write, table: str) -> None:
    files = {**images("a.jpg", "b.jpg"), "x.csv": table.encode()}
    with pytest.raises(DataError, match=r"'images' is a folder for images.*\(x\.csv\)"):
        listing(tree(files))


def test_measurements_are_no_classes(tree: Write) -> None:
    rows = "".join(f"{k}.jpg,{k / 7}\n" for k in range(12))
    files = {**images(*(f"{k}.jpg" for k in range(12))), "x.csv": f"file,y\n{rows}".encode()}
    with pytest.raises(DataError, match=r"not read: table of images \(x\.csv\)"):
        listing(tree(files))


def test_table_that_agrees_with_class_folders_changes_nothing(tree: Write) -> None:
    """A table of the same labels is often beside class folders."""
    rows = "".join(f"train/{label}/{k}.jpg,{label.title()},train\n"
                   for label in ("cat", "dog") for k in range(3))  # fmt: skip
    files: dict[str, bytes | None] = {
        f"train/{label}/{k}.jpg": b"" for label in ("cat", "dog") for k in range(4)
    }
    table = f"filepaths,labels,data set\n{rows}".encode()
    listed = listing(tree({**files, "all.csv": table}))
    assert listed.layout == "folder"
    assert len(listed.samples) == 8


def test_table_that_contradicts_class_folders_is_refused_until_one_is_chosen(tree: Write) -> None:
    table = b"file,label\n1.jpg,good\n2.jpg,bad\n3.jpg,good\n4.jpg,bad\n"
    files: dict[str, bytes | None] = {
        "x/1.jpg": b"", "x/2.jpg": b"", "y/3.jpg": b"", "y/4.jpg": b"", "labels.csv": table
    }  # fmt: skip
    root = tree(files)
    with pytest.raises(DataError, match="have several layouts: csv_classes, folder") as caught:
        listing(root)
    assert "`data: {layout: csv_classes}`" in caught.value.remedy
    container, task = open_container(root), TASKS.load("classification").data
    assert list_samples(container, "images", task, "csv_classes").classes == ("bad", "good")
    assert list_samples(container, "images", task, "folder").classes == ("x", "y")
    assert listing(root, "labels.csv").classes == ("x", "y")


def test_boxes_of_a_table_are_fractions_where_none_is_above_one(tree: Write) -> None:
    table = b"ImageID,LabelName,XMin,XMax,YMin,YMax\na,nut,0.1,0.5,0.2,1\nb,nut,,,,\n"
    listed = listing(tree({**images("a.jpg", "b.jpg"), "x.csv": table}), task="detection")
    assert [(sample.relative, [box.corners for box in sample.boxes], sample.labelled)
            for sample in listed.samples] == [
        (True, [(0.1, 0.2, 0.5, 1.0)], True),
        (True, [], True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cells", "what"),
    [
        ("1,2,3,4a,nut", "x.csv:2: '4a' is not a number"),
        ("1,2,3,nan,nut", "x.csv:2: a corner is not a finite number"),
        ("1,2,3,4,", "x.csv:2: the class is empty"),
    ],
)
def test_broken_line_of_boxes_is_named(tree: Write, cells: str, what: str) -> None:
    table = f"filename,xmin,ymin,xmax,ymax,class\na.jpg,{cells}\nb.jpg,1,2,30,40,nut\n"
    files = {**images("a.jpg", "b.jpg"), "x.csv": table.encode()}
    (problem,) = listing(tree(files), task="detection").problems
    assert (problem.example, problem.image) == (what, "images/a.jpg")


def test_size_in_a_table_of_boxes_is_that_of_the_image(tree: Write) -> None:
    table = b"filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,96,80,nut,1,2,30,40\n"
    listed = listing(tree({**images("a.jpg"), "x.csv": table}), task="detection")
    assert listed.samples[0].stated_size == (80, 96)


def test_table_of_a_few_examples_is_not_that_of_the_labels(tree: Write) -> None:
    names = [f"{label}/{label}{k}.jpg" for label in ("cat", "dog") for k in range(30)]
    table = b"file,class\ncat0.jpg,X\n"
    listed = listing(tree({**dict.fromkeys(names, b""), "meta.csv": table}))
    assert listed.layout == "folder"
    assert listed.others == ("meta.csv",)


def test_table_is_preferred_to_folders_of_parts(tree: Write) -> None:
    names = [f"set_images_part_{k // 6}/{k}.jpg" for k in range(12)]
    rows = "".join(f"{k},{('cat', 'dog')[k % 2]}\n" for k in range(12))
    table = f"image_id,dx\n{rows}".encode()
    listed = listing(tree({**dict.fromkeys(names, b""), "meta.csv": table}))
    assert listed.classes == ("cat", "dog")


def test_boxes_without_a_header_are_read_as_keras_retinanet_writes_them(tree: Write) -> None:
    table = b"a.jpg,1,2,30,40,nut\na.jpg,5,6,7,8,gear\nb.jpg,,,,,\n"
    listed = listing(tree({**images("a.jpg", "b.jpg"), "x.csv": table}), task="detection")
    assert [[(box.label, box.corners) for box in sample.boxes] for sample in listed.samples] == [
        [("nut", (1.0, 2.0, 30.0, 40.0)), ("gear", (5.0, 6.0, 7.0, 8.0))],
        [],
    ]


def test_table_in_an_unknown_encoding_is_named(tree: Write) -> None:
    table = "Datei;Klasse\na.jpg;\u00c4pfel\n".encode("cp1252")
    with pytest.raises(DataError, match=r"cannot be read, not UTF-8 text .*; save it as UTF-8 \(x"):
        listing(tree({**images("a.jpg", "b.jpg"), "x.csv": table}))


def test_lines_of_json_are_read_as_a_table(tree: Write) -> None:
    lines = '{"file_name": "a.jpg", "label": "cat"}\n\n{"file_name": "b.jpg", "label": "dog"}\n'
    listed = listing(tree({**images("a.jpg", "b.jpg"), "images/metadata.jsonl": lines.encode()}))
    assert labels(listed) == CAT_AND_DOG
    assert listed.layout == "csv_classes"


@pytest.mark.parametrize("line", ['{"file_name": "a.jpg", "objects": {"categories": [0]}}', "[1]"])
def test_lines_of_json_without_a_class_are_named(tree: Write, line: str) -> None:
    files = {**images("a.jpg"), "images/metadata.jsonl": line.encode()}
    with pytest.raises(DataError, match=r"not read: .*\(images/metadata\.jsonl\)"):
        listing(tree(files))


@pytest.mark.parametrize("missing", ["NaN", "null", "#N/A", ""])
def test_text_for_a_missing_class_is_no_class(tree: Write, missing: str) -> None:
    table = f"file,label\na.jpg,cat\nb.jpg,dog\nc.jpg,{missing}\n"
    listed = listing(tree({**images("a.jpg", "b.jpg", "c.jpg"), "x.csv": table.encode()}))
    assert labels(listed) == CAT_AND_DOG
    assert listed.unlabelled == ("images/c.jpg",)


def test_class_that_a_table_denies_is_not_that_of_the_image(tree: Write) -> None:
    table = "ImageID,LabelName,Confidence\na,cat,1\na,dog,0\nb,dog,1\nb,cat,0\n"
    listed = listing(tree({**images("a.jpg", "b.jpg"), "x.csv": table.encode()}))
    assert labels(listed) == CAT_AND_DOG
    assert listed.problems == ()


def test_confidence_between_0_and_1_says_nothing_of_the_class(tree: Write) -> None:
    table = "file,label,confidence\na.jpg,cat,0.4\nb.jpg,dog,0\n"
    listed = listing(tree({**images("a.jpg", "b.jpg"), "x.csv": table.encode()}))
    assert labels(listed) == CAT_AND_DOG


def test_group_in_a_table_of_boxes_is_a_crowd(tree: Write) -> None:
    table = (
        "ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf\na,n,.1,.2,.3,.4,1\na,n,.5,.6,.5,.6,0\n"
    )
    (sample,) = listing(
        tree({**images("a.jpg"), "x.csv": table.encode()}), task="detection"
    ).samples
    assert [box.crowd for box in sample.boxes] == [True, False]


def test_table_without_a_header_is_named_as_such(tree: Write) -> None:
    table = b"images/a.jpg,cat\nimages/b.jpg,dog\n"
    with pytest.raises(DataError, match=r"not read: table of images without a header \(x\.csv\)"):
        listing(tree({**images("a.jpg", "b.jpg"), "x.csv": table}))


@pytest.mark.parametrize(
    "table",
    ["file,cat,dog\na.jpg,1,0\nb.jpg,0,1\nc.jpg,1,1\n", "file,label\na,cat\nb,dog\nc,cat|dog\n"],
    ids=["columns", "text"],
)
def test_image_with_several_classes_is_not_said_to_have_none(tree: Write, table: str) -> None:
    listed = listing(tree({**images("a.jpg", "b.jpg", "c.jpg"), "x.csv": table.encode()}))
    assert listed.unlabelled == ()
    assert [problem.title for problem in listed.problems] == ["image with several classes"]


MID_BOXES = (
    b"ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsGroupOf\n"
    b"a,x,/m/01yrx,1,0.1,0.6,0.2,0.7,0\nb,x,/m/0bt9lr,1,0.1,0.6,0.2,0.7,0\n"
)
MID_CLASSES = b"ImageID,LabelName,Confidence\na,/m/01yrx,1\nb,/m/0bt9lr,1\n"


@pytest.mark.parametrize(
    ("task", "table"),
    [("detection", MID_BOXES), ("classification", MID_CLASSES)],
    ids=["boxes", "classes"],
)
@pytest.mark.parametrize(
    "descriptions",
    [
        b"/m/01yrx,Cat\n/m/0bt9lr,Dog\n/m/0zz,Zebra\n",
        b'LabelName,DisplayName\n/m/01yrx,Cat\n/m/0bt9lr,"Dog"\n',
    ],
    ids=["plain", "header"],
)
def test_codes_of_open_images_get_the_names_beside_them(
    tree: Write, task: str, table: bytes, descriptions: bytes
) -> None:
    files = {"labels.csv": table, "class-descriptions-boxable.csv": descriptions}
    listed = listing(tree({**images("a.jpg", "b.jpg"), **files}), task=task)
    assert listed.classes == ("Cat", "Dog")
    shown = [each.label or each.boxes[0].label for each in listed.samples]
    assert shown == ["Cat", "Dog"]
    assert "class-descriptions-boxable.csv" in listed.labels
    assert listed.others == ()
    assert [*notes_of(listed)] == []


def test_codes_of_open_images_without_names_are_remarked(tree: Write) -> None:
    listed = listing(tree({**images("a.jpg", "b.jpg"), "labels.csv": MID_CLASSES}))
    (note,) = notes_of(listed)
    assert note == (
        "2 class names are codes of Open Images: /m/01yrx, /m/0bt9lr; put its "
        "class-descriptions.csv beside the labels to have words"
    )


def test_codes_with_the_same_name_stay_codes(tree: Write) -> None:
    files = {"labels.csv": MID_CLASSES, "class-descriptions.csv": b"/m/01yrx,Cat\n/m/0bt9lr,Cat\n"}
    listed = listing(tree({**images("a.jpg", "b.jpg"), **files}))
    assert listed.classes == ("/m/01yrx", "/m/0bt9lr")


def test_numbers_of_word_net_are_remarked(tree: Write) -> None:
    listed = listing(tree({f"{name}/{k}.jpg": b"" for name in ("n02123045", "cat") for k in "ab"}))
    assert [*notes_of(listed)] == [
        "1 class name is a code of WordNet: n02123045; rename the classes to have words"
    ]


def table_of(rows: Iterable[str], header: str = "file,label") -> bytes:
    return "\n".join([header, *rows]).encode()


def test_image_in_the_tables_of_two_splits_is_a_problem(tree: Write) -> None:
    names = [f"{k}.jpg" for k in range(6)]
    rows = [f"{name},{'ab'[k % 2]}" for k, name in enumerate(names)]
    files = {"test.csv": table_of(rows[:2]), "train.csv": table_of(rows[1:])}
    listed = listing(tree({**images(*names), **files}))
    assert [(each.title, each.example) for each in listed.problems] == [
        ("image in several splits", "train.csv:2: images/1.jpg is in train, and in test before")
    ]
    assert listed.problems[0].fix.startswith("list each image in one split, or exclude files")


def test_box_in_the_tables_of_two_splits_is_a_problem(tree: Write) -> None:
    header = "filename,class,xmin,ymin,xmax,ymax"
    rows = [f"{k}.jpg,a,1,1,5,5" for k in range(4)]
    files = {"val.csv": table_of(rows[:2], header), "train.csv": table_of(rows[1:], header)}
    listed = listing(tree({**images(*(f"{k}.jpg" for k in range(4))), **files}), task="detection")
    assert [each.example for each in listed.problems] == [
        "val.csv:3: images/1.jpg is in val, and in train before"
    ]


def test_measured_numbers_are_no_classes(tree: Write) -> None:
    names = [f"{k}.jpg" for k in range(24)]
    rows = [f"{name},{k % 4 * 0.25}" for k, name in enumerate(names)]
    with pytest.raises(DataError, match=r"not read: table of images \(labels\.csv\)"):
        listing(tree({**images(*names), "labels.csv": table_of(rows)}))


def test_whole_numbers_with_a_point_are_classes(tree: Write) -> None:
    names = [f"{k}.jpg" for k in range(24)]
    rows = [f"{name},{k % 4}.0" for k, name in enumerate(names)]
    listed = listing(tree({**images(*names), "labels.csv": table_of(rows)}))
    assert listed.classes == ("0.0", "1.0", "2.0", "3.0")


def test_several_classes_may_be_separated_by_spaces(tree: Write) -> None:
    names = [f"{k}.jpg" for k in range(30)]
    labels_of = ["cat", "dog", "cat dog", "polar bear"]
    rows = [f"{name},{labels_of[k % 4]}" for k, name in enumerate(names)]
    listed = listing(tree({**images(*names), "labels.csv": table_of(rows)}))
    assert {each.title for each in listed.problems} == {"image with several classes"}
    assert listed.problems[0].example == "labels.csv:4: images/2.jpg has cat, dog"
    assert len(listed.problems) == 7  # of 30 images every fourth; a bear is one animal


def test_minus_one_denies_a_class(tree: Write) -> None:
    rows = ["a.jpg,1,-1", "b.jpg,-1,1"]
    files = {**images("a.jpg", "b.jpg"), "list.csv": table_of(rows, "image_id,cat,dog")}
    assert labels(listing(tree(files))) == CAT_AND_DOG


def test_single_folder_is_no_class_beside_a_table_that_is_not_read(tree: Write) -> None:
    files = {f"faces/{k}.jpg": b"" for k in range(12)}
    rows = [f"{k}.jpg,{k}.5,{k * 2}" for k in range(12)]
    root = tree({**files, "landmarks.csv": table_of(rows, "image,eye,mouth")})
    with pytest.raises(DataError, match=r"not read: table of images \(landmarks\.csv\)"):
        listing(root)


FRAMES: Tree = {f"{video}/{k:03}.jpg": b"" for video in range(101, 107) for k in range(3)}


@pytest.mark.parametrize(
    "table",
    [
        b"video,label\n101,wave\n102,swipe\n103,wave\n104,swipe\n105,wave\n106,swipe\n",
        b"id;label;length\n101;wave;9\n102;wave;8\n103;wave;7\n104;swipe;6\n105;wave;5\n106;wave;4\n",
    ],
    ids=["commas", "semicolons"],
)
def test_table_with_a_class_for_each_folder_is_named(tree: Write, table: bytes) -> None:
    root = tree({**FRAMES, "labels.csv": table})
    with pytest.raises(
        DataError, match=r"not read: table with a class for each folder \(labels\.csv\)"
    ) as caught:
        listing(root)
    assert "if the names of folders are the classes, write `data: {layout: folder}`" in (
        caught.value.remedy
    )


@pytest.mark.parametrize(
    "files",
    [
        {**FRAMES, "names.csv": b"id,name\n101,a\n102,b\n103,c\n104,d\n105,e\n106,f\n"},
        {
            **{f"{name}/{k}.jpg": b"" for name in ("cat", "dog", "bus", "car") for k in range(3)},
            "kinds.csv": b"class,kind\ncat,animal\ndog,animal\nbus,vehicle\ncar,vehicle\n",
        },
    ],
    ids=["a name for each", "kinds of classes"],
)
def test_table_about_classes_says_nothing_against_them(tree: Write, files: Tree) -> None:
    assert listing(tree(files)).layout == "folder"


def test_number_of_a_class_agrees_with_its_folder(tree: Write) -> None:
    """As in GTSRB: `00007/GT-00007.csv` has class 7."""
    files: dict[str, bytes | None] = {}
    for number in (3, 7):
        names = [f"{number}_{k}.png" for k in range(3)]
        files |= {f"{number:05}/{name}": b"" for name in names}
        rows = [f"{name};48;{number}" for name in names]
        files[f"{number:05}/GT-{number:05}.csv"] = table_of(rows, "Filename;Width;ClassId")
    listed = listing(tree(files))
    assert (listed.layout, listed.classes) == ("folder", ("00003", "00007"))


@pytest.mark.parametrize(
    ("column", "yes", "no", "split"),
    [("is_valid", "True", "False", Split.VAL), ("is_test", "1", "0", Split.TEST)],
)
def test_column_of_flags_states_a_split(
    tree: Write, column: str, yes: str, no: str, split: Split
) -> None:
    """As fastai writes them; such a column is no class either."""
    rows = [f"{k}.jpg,{'ab'[k % 2]},{yes if k < 2 else no}" for k in range(6)]
    names = [f"{k}.jpg" for k in range(6)]
    files = {**images(*names), "x.csv": table_of(rows, f"fname,kind of thing,{column}")}
    listed = listing(tree(files))
    assert [each.split for each in listed.samples] == [split] * 2 + [Split.TRAIN] * 4
    assert listed.classes == ("a", "b")
