from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgetl.data.container import Container, open_container
from edgetl.data.sources import SOURCES, Listing, list_samples
from edgetl.errors import DataError
from edgetl.tasks import TASKS
from edgetl.types import Split


def listing(tmp_path: Path, names: Sequence[str]) -> Listing:
    """List empty files of these names; a name that ends in a slash is an empty folder."""
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(exist_ok=True) if name.endswith("/") else path.touch()
    return list_samples(open_container(tmp_path), "images", TASKS.load("classification").data)


def rows(listed: Listing) -> list[tuple[str, str, Split | None]]:
    return [(sample.name, sample.label, sample.split) for sample in listed.samples]


def test_flat_folder_has_no_splits(tmp_path: Path) -> None:
    listed = listing(tmp_path, ["nut/2.png", "nut/1.JPG", "gear/deeper/3.jpeg", "empty/"])
    assert rows(listed) == [
        ("gear/deeper/3.jpeg", "gear", None),
        ("nut/1.JPG", "nut", None),
        ("nut/2.png", "nut", None),
    ]
    assert listed.classes == ("empty", "gear", "nut")
    assert listed.given == frozenset()


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
def test_split_folders_are_kept(tmp_path: Path, val: str) -> None:
    listed = listing(tmp_path, ["train/nut/1.jpg", f"{val}/nut/2.jpg", "test/gear/3.jpg"])
    assert [row[1:] for row in sorted(rows(listed))] == [
        row
        for _, row in sorted(
            [
                ("train", ("nut", Split.TRAIN)),
                (val, ("nut", Split.VAL)),
                ("test", ("gear", Split.TEST)),
            ]
        )
    ]
    assert listed.given == {Split.TRAIN, Split.VAL, Split.TEST}
    assert listed.classes == ("gear", "nut")


@pytest.mark.parametrize("wrap", ["data/", "data/images/"])
def test_outer_folders_are_skipped(tmp_path: Path, wrap: str) -> None:
    listed = listing(tmp_path, [f"{wrap}train/nut/1.jpg", f"{wrap}val/nut/2.jpg", "SOURCE.txt"])
    assert rows(listed) == [
        (f"{wrap}train/nut/1.jpg", "nut", Split.TRAIN),
        (f"{wrap}val/nut/2.jpg", "nut", Split.VAL),
    ]
    assert listed.others == ("SOURCE.txt",)


def test_single_class_folder_is_not_a_wrapper(tmp_path: Path) -> None:
    assert rows(listing(tmp_path, ["nut/1.jpg"])) == [("nut/1.jpg", "nut", None)]


def test_folder_named_like_a_split_is_no_class_beside_classes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'train' is named like a split and has no class") as caught:
        listing(tmp_path, ["train/1.jpg", "plane/2.jpg"])
    assert "rename its folder, for example to 'train class'" in caught.value.remedy
    assert "exclude: ['plane/*']" in caught.value.remedy
    (tmp_path / "train").rename(tmp_path / "train class")
    assert rows(listing(tmp_path, [])) == [
        ("plane/2.jpg", "plane", None),
        ("train class/1.jpg", "train class", None),
    ]


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("training_set/training_set", "test_set/test_set"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("fruits/Training", "fruits/Test"),
        ("TRAIN", "eval"),
        ("train/images", "test/images"),
        ("signs_train", "signs_test/signs_test"),
        ("archive/Train Images", "archive/Test Images"),
    ],
)
def test_splits_are_known_in_all_usual_spellings(tmp_path: Path, train: str, test: str) -> None:
    listed = listing(
        tmp_path,
        [f"{train}/cat/1.jpg", f"{train}/dog/2.jpg", f"{test}/cat/3.jpg", f"{test}/dog/4.jpg"],
    )
    assert sorted(row[1:] for row in rows(listed)) == [
        ("cat", Split.TEST),
        ("cat", Split.TRAIN),
        ("dog", Split.TEST),
        ("dog", Split.TRAIN),
    ]
    assert listed.given == {Split.TRAIN, Split.TEST}
    assert listed.classes == ("cat", "dog")


def test_train_dev_and_eval_are_three_splits(tmp_path: Path) -> None:
    listed = listing(tmp_path, ["train/cat/1.jpg", "dev/cat/2.jpg", "eval/cat/3.jpg"])
    assert {row[2] for row in rows(listed)} == {Split.TRAIN, Split.VAL, Split.TEST}


def test_splits_may_lie_in_the_class_folders(tmp_path: Path) -> None:
    listed = listing(
        tmp_path,
        ["cat/train/1.jpg", "cat/test/2.jpg", "dog/train/deeper/3.jpg", "dog/test/4.jpg"],
    )
    assert rows(listed) == [
        ("cat/test/2.jpg", "cat", Split.TEST),
        ("cat/train/1.jpg", "cat", Split.TRAIN),
        ("dog/test/4.jpg", "dog", Split.TEST),
        ("dog/train/deeper/3.jpg", "dog", Split.TRAIN),
    ]
    assert listed.given == {Split.TRAIN, Split.TEST}
    assert listed.classes == ("cat", "dog")


def test_folder_beside_the_splits_is_refused_with_the_known_names(tmp_path: Path) -> None:
    names = ["seg_train/a/1.jpg", "seg_test/a/2.jpg", "seg_pred/seg_pred/3.jpg"]
    with pytest.raises(DataError, match="'seg_pred' is next to the splits seg_t") as caught:
        listing(tmp_path, names)
    assert "exclude: ['seg_pred/*']" in caught.value.remedy
    assert "val: val, valid, validation, validate, validating, dev" in caught.value.remedy
    container = open_container(tmp_path, exclude=("seg_pred/*",))
    listed = list_samples(container, "images", TASKS.load("classification").data)
    assert listed.given == {Split.TRAIN, Split.TEST}


def test_split_without_class_folders_is_refused_until_it_is_excluded(tmp_path: Path) -> None:
    names = ["train/a/1.jpg", "train/b/2.jpg", "test/3.jpg"]
    with pytest.raises(DataError, match="'test' has images but no class folders, as train h"):
        listing(tmp_path, names)
    container = open_container(tmp_path, exclude=("test/*",))
    listed = list_samples(container, "images", TASKS.load("classification").data)
    assert listed.given == {Split.TRAIN}


def test_single_class_folder_is_not_a_wrapper_in_a_split(tmp_path: Path) -> None:
    listed = listing(tmp_path, ["train/nut/small/1.jpg", "test/nut/2.jpg"])
    assert rows(listed) == [
        ("test/nut/2.jpg", "nut", Split.TEST),
        ("train/nut/small/1.jpg", "nut", Split.TRAIN),
    ]


def test_stray_files_are_counted_and_hidden_ones_are_not(tmp_path: Path) -> None:
    listed = listing(
        tmp_path,
        ["nut/1.jpg", "nut/Thumbs.db", "nut/._1.jpg", "__MACOSX/nut/1.jpg", ".git/x.png", "a.txt"],
    )
    assert rows(listed) == [("nut/1.jpg", "nut", None)]
    assert listed.others == ("a.txt", "nut/Thumbs.db")
    assert listed.classes == ("nut",)


def test_image_outside_of_class_folders_is_named(tmp_path: Path) -> None:
    listed = listing(tmp_path, ["train/nut/1.jpg", "train/2.jpg", "3.jpg"])
    assert listed.unlabelled == ("3.jpg", "train/2.jpg")


def test_image_that_pillow_cannot_read_is_still_an_image(tmp_path: Path) -> None:
    assert rows(listing(tmp_path, ["nut/1.heic"])) == [("nut/1.heic", "nut", None)]


@pytest.mark.parametrize(
    ("names", "what"),
    [
        pytest.param([], "no labelled images in 'images'", id="nothing"),
        pytest.param(["1.jpg"], "no labelled images in 'images'", id="no class folder"),
        pytest.param(
            ["train/nut/1.jpg", "extra/nut/2.jpg"],
            "folder 'extra' is next to the splits train",
            id="folder beside the splits",
        ),
        pytest.param(
            ["train/nut/1.jpg", "val/nut/2.jpg", "valid/nut/3.jpg"],
            "several folders name the same split: train, val, valid",
            id="one split twice",
        ),
        pytest.param(["test/nut/1.jpg"], "there is test/ but no train/", id="no train"),
        pytest.param(
            ["training/1.jpg", "testing/2.jpg"],
            "'testing', 'training' are named like splits and have no class folders, so nothing",
            id="splits without classes",
        ),
        pytest.param(
            ["train/test/1.jpg", "train/cat/2.jpg"],
            "'test' would be a class, but has the name of a split",
            id="split in a split",
        ),
        pytest.param(
            ["cat/train/1.jpg", "cat/test/2.jpg", "dog/3.jpg"],
            "'cat/t(est|rain)' is named like a split, but the class 'dog' has other images",
            id="splits in one class alone",
        ),
        pytest.param(
            ["cats_train/a/1.jpg", "cats_test/a/2.jpg", "dogs_train/a/3.jpg", "dogs_test/a/4.jpg"],
            "folders are named by splits and by something else: cats_test, cats_train, dogs_test",
            id="class and split in one name",
        ),
        pytest.param(
            ["train/a/1.jpg", "train/b/2.jpg", "test/test/3.jpg"],
            "'test' has images but no class folders, as train has",
            id="repeated folder without classes",
        ),
        pytest.param(
            ["images_part_1/1.jpg", "images_part_2/2.jpg"],
            "the folders images_part_1 and images_part_2 are called like parts of the images",
            id="parts",
        ),
        pytest.param(
            ["images/1.jpg"],
            "'images' is a folder for images, not a class, and nothing else names the class",
            id="one folder for all images",
        ),
        pytest.param(
            ["Annotations/1.png", "JPEGImages/1.jpg"],
            "'Annotations' is a folder for images, not a class",
            id="folders of a layout",
        ),
    ],
)
def test_contradictory_layout_is_refused(tmp_path: Path, names: list[str], what: str) -> None:
    with pytest.raises(DataError, match=what):
        listing(tmp_path, names)


@dataclass
class Bare:
    """An empty container."""

    files: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    def read(self, name: str) -> bytes:
        raise KeyError(name)

    def digest(self, names: object, digest_file: object) -> str:
        raise KeyError((names, digest_file))

    def close(self) -> None:
        return


@pytest.mark.parametrize("name", SOURCES.names())
def test_no_source_recognises_an_empty_container(name: str) -> None:
    nothing: Container = Bare()
    assert not SOURCES.load(name).recognises(nothing)


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text, encoding="utf-8")


FOOD = [f"images/{label}/{k}.jpg" for label in ("pie", "cake") for k in range(3)]


def test_folder_for_all_images_is_skipped_beside_folders_without_images(tmp_path: Path) -> None:
    write(tmp_path, "meta/classes.txt", "pie\ncake\n")
    listed = listing(tmp_path, FOOD)
    assert listed.classes == ("cake", "pie")
    assert listed.given == frozenset()
    assert listed.others == ("meta/classes.txt",)


@pytest.mark.parametrize("suffix", ["", ".jpg", ".jpg 0"])
def test_lists_name_the_splits(tmp_path: Path, suffix: str) -> None:
    write(tmp_path, "meta/train.txt", f"pie/0{suffix}\npie/1{suffix}\n\ncake/0{suffix}\n")
    write(tmp_path, "meta/test.txt", f"pie/2{suffix}\ncake/2{suffix}\n")
    listed = listing(tmp_path, FOOD)
    assert {row[0][7:]: row[2] for row in rows(listed)} == {
        "pie/0.jpg": Split.TRAIN,
        "pie/1.jpg": Split.TRAIN,
        "pie/2.jpg": Split.TEST,
        "cake/0.jpg": Split.TRAIN,
        "cake/2.jpg": Split.TEST,
    }
    assert listed.given == {Split.TRAIN, Split.TEST}
    assert listed.labels == ("meta/test.txt", "meta/train.txt")
    assert listed.unlisted == ("images/cake/1.jpg",)
    assert listed.others == ()


@pytest.mark.parametrize(
    "lists",
    [
        {"train.txt": "pie/0\n"},
        {"test.txt": "some notes\non testing\n"},
        {"names.txt": "pie/0\n"},
    ],
    ids=["train alone", "notes", "no split"],
)
def test_other_texts_name_no_splits(tmp_path: Path, lists: dict[str, str]) -> None:
    for name, text in lists.items():
        write(tmp_path, name, text)
    listed = listing(tmp_path, FOOD)
    assert listed.given == frozenset()
    assert len(listed.samples) == 6
    assert {*listed.others} == {*lists}


def test_images_in_no_list_are_for_training_without_a_list_for_it(tmp_path: Path) -> None:
    write(tmp_path, "testing_list.txt", "pie/0.jpg\ncake/0.jpg\n")
    write(tmp_path, "validation_list.txt", "pie/1.jpg\n")
    splits = {row[0][7:]: row[2] for row in rows(listing(tmp_path, FOOD))}
    assert splits == {
        "pie/0.jpg": Split.TEST,
        "cake/0.jpg": Split.TEST,
        "pie/1.jpg": Split.VAL,
        "pie/2.jpg": Split.TRAIN,
        "cake/1.jpg": Split.TRAIN,
        "cake/2.jpg": Split.TRAIN,
    }


def test_image_in_lists_of_two_splits_is_refused(tmp_path: Path) -> None:
    for number in (1, 2):
        write(tmp_path, f"train{number}.txt", f"pie/{number}\n")
        write(tmp_path, f"test{number}.txt", f"pie/{3 - number}\n")
    with pytest.raises(DataError, match=r"'images/pie/[12]\.jpg' is in t.*\.txt and in a list of"):
        listing(tmp_path, FOOD)
    container = open_container(tmp_path, exclude=("train2.txt", "test2.txt"))
    listed = list_samples(container, "images", TASKS.load("classification").data)
    assert len(listed.samples) == 2


def test_split_folders_are_preferred_to_lists(tmp_path: Path) -> None:
    write(tmp_path, "train.txt", "a/2\n")
    write(tmp_path, "test.txt", "a/1\n")
    listed = listing(tmp_path, ["train/a/1.jpg", "test/a/2.jpg"])
    assert [row[2] for row in rows(listed)] == [Split.TEST, Split.TRAIN]
    assert listed.labels == ()


def test_splits_with_classes_in_several_sets_are_refused(tmp_path: Path) -> None:
    names = [f"{part}/{split}/{label}/1.jpg" for part in ("old", "new")
             for split in ("train", "test") for label in ("a", "b")]  # fmt: skip
    with pytest.raises(DataError, match=r"'new/t\w+' has several folders inside, as if they were"):
        listing(tmp_path, names)


def test_unlabelled_test_images_beside_classes_are_refused_until_excluded(tmp_path: Path) -> None:
    names = ["cat/1.jpg", "dog/2.jpg", "test/3.jpg"]
    with pytest.raises(DataError, match="'test' is named like a split and has no") as caught:
        listing(tmp_path, names)
    assert "exclude what is no class with `data: {exclude: ['test/*']}`" in caught.value.remedy
    container = open_container(tmp_path, exclude=("test/*",))
    listed = list_samples(container, "images", TASKS.load("classification").data)
    assert listed.classes == ("cat", "dog")


@pytest.mark.parametrize("form", ["{split}_{k}.jpg", "{k}-{split}.jpg"])
def test_split_in_every_file_name_is_that_of_the_image(tmp_path: Path, form: str) -> None:
    names = [
        f"{label}/{form.format(split=split, k=k)}"
        for label in ("nut", "gear") for split in ("train", "valid", "test") for k in range(2)
    ]  # fmt: skip
    listed = listing(tmp_path, names)
    assert listed.given == {*Split}
    assert [name for name, _, split in rows(listed) if split is Split.TEST] == [
        name for name in sorted(names) if "test" in name
    ]


@pytest.mark.parametrize("other", ["nut/3.jpg", "nut/testament_1.jpg"])
def test_split_in_some_file_names_is_none(tmp_path: Path, other: str) -> None:
    listed = listing(tmp_path, ["nut/train_1.jpg", "gear/test_2.jpg", other])
    assert {split for _, _, split in rows(listed)} == {None}


@pytest.mark.parametrize(
    ("outer", "inner"),
    [(("exam", "learn"), ("NG", "OK")), (("S01", "S02", "S03"), ("happy", "sad"))],
    ids=["splits", "subjects"],
)
def test_classes_on_one_of_two_levels_are_refused_until_the_layout_is_stated(
    tmp_path: Path, outer: tuple[str, ...], inner: tuple[str, ...]
) -> None:
    names = [f"{one}/{other}/{k}.jpg" for one in outer for other in inner for k in range(2)]
    shown = [", ".join(f"'{name}'" for name in level) for level in (outer, inner)]
    with pytest.raises(
        DataError,
        match=f"folders {shown[0]} in 'images' have the same folders inside, {shown[1]}, so it is",
    ) as caught:
        listing(tmp_path, names)
    assert f"if {shown[0]} are the classes, write `data: {{layout: folder}}`" in caught.value.remedy
    assert f"if {shown[1]} are, rename the folders around them to train and" in caught.value.remedy
    task = TASKS.load("classification").data
    assert list_samples(open_container(tmp_path), "images", task, "folder").classes == outer


@pytest.mark.parametrize(
    "inner",
    [("video1", "video2"), ("07", "12"), ("a", "b"), ("images", "img"), ("take a", "take b")],
)
def test_folders_inside_that_count_or_hold_images_are_no_classes(
    tmp_path: Path, inner: tuple[str, ...]
) -> None:
    names = [f"{label}/{name}/1.jpg" for label in ("fall", "walk") for name in inner]
    assert listing(tmp_path, names).classes == ("fall", "walk")


@pytest.mark.parametrize(
    "names",
    [
        ["DCIM/100CANON/IMG_1.JPG", "DCIM/101MSDCF/IMG_1.JPG", "MISC/AUTPRINT.MRK"],
        ["DCIM/Camera/1.jpg", "Pictures/2.jpg", "Download/3.jpg"],
        ["JPEGImages/1.jpg", "ImageSets/Main/cat_train.txt"],
        ["images/1.jpg", "annotations/1.json"],
    ],
    ids=["camera", "phone", "Pascal VOC", "labels"],
)
def test_folders_of_a_camera_or_a_layout_are_no_classes(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(DataError, match="is a folder for images, not a class"):
        listing(tmp_path, names)


def test_folders_of_single_subjects_are_refused_until_the_layout_is_stated(tmp_path: Path) -> None:
    names = [f"train/patient0{k}/study1/view{j}.jpg" for k in range(2) for j in range(2)]
    names += [f"test/patient0{k}/study2/view{j}.jpg" for k in range(2) for j in range(2)]
    write(tmp_path, "train.csv", "\n".join(["Path,Age,Sex", *(f"x/{name},60,F" for name in names)]))
    what = (
        r"the folders 'patient00', 'patient01' in 'images' are called like single subjects or "
        r"recordings, not like classes; not read: table of images \(train\.csv\)"
    )
    with pytest.raises(DataError, match=what) as caught:
        listing(tmp_path, names)
    assert caught.value.remedy == (
        "if they are the classes, write `data: {layout: folder}`; else sort the images into one "
        "folder per class, or add a CSV with the columns file and label"
    )
    task = TASKS.load("classification").data
    listed = list_samples(open_container(tmp_path), "images", task, "folder")
    assert listed.classes == ("patient00", "patient01")


@pytest.mark.parametrize(
    "names", [("patient", "nurse"), ("euro 1", "euro 2"), ("video", "photo 1")]
)
def test_other_names_are_classes(tmp_path: Path, names: tuple[str, str]) -> None:
    listed = listing(tmp_path, [f"{name}/{k}.jpg" for name in names for k in range(2)])
    assert listed.classes == tuple(sorted(names))


@pytest.mark.parametrize(
    "name", ["unsorted", "New folder (2)", "Unlabeled", "backup", "to_sort", "Neuer Ordner"]
)
def test_folder_for_images_in_no_class_is_refused_until_it_is_excluded_or_stated(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(
        DataError, match=rf"the folder '{re.escape(name)}' in 'images' is not called like a class"
    ) as caught:
        listing(tmp_path, ["cat/1.jpg", "dog/2.jpg", f"{name}/3.jpg"])
    assert caught.value.remedy == (
        f"exclude it with `data: {{exclude: ['*{name}/*']}}`; if it is a class, write "
        "`data: {layout: folder}`"
    )
    task = TASKS.load("classification").data
    container = open_container(tmp_path, exclude=(f"*{name}/*",))
    assert list_samples(container, "images", task).classes == ("cat", "dog")
    stated = list_samples(open_container(tmp_path), "images", task, "folder")
    assert name in stated.classes
