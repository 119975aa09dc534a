from __future__ import annotations

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


def test_folder_named_train_with_images_is_a_class(tmp_path: Path) -> None:
    listed = listing(tmp_path, ["train/1.jpg", "plane/2.jpg"])
    assert rows(listed) == [("plane/2.jpg", "plane", None), ("train/1.jpg", "train", None)]


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
