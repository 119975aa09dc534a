"""Images that are no examples, and examples that do not look like images."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgetl.data.container import open_container
from edgetl.data.listing import Ignored
from edgetl.data.listing_notes import notes_of
from edgetl.data.sources import Listing, list_samples, list_unlabelled
from edgetl.errors import DataError
from edgetl.tasks import TASKS

Tree = dict[str, bytes | None]
Write = Callable[[Mapping[str, bytes | None]], Path]
PAIR: Tree = {"cat/1.jpg": b"", "dog/2.jpg": b""}


def listing(root: Path, *exclude: str) -> Listing:
    container = open_container(root, exclude=exclude)
    return list_samples(container, "images", TASKS.load("classification").data)


def encoded(form: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form)
    return stream.getvalue()


@pytest.mark.parametrize(
    "name",
    ["$RECYCLE.BIN/S-1-5/$R1.jpg", "cat/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg", "lost+found/3.jpg",
     "System Volume Information/4.png", "#recycle/cat/5.jpg", "FOUND.000/6.jpg",
     "__MACOSX/cat/7.jpg", "@Recycle/8.jpg"],
)  # fmt: skip
def test_images_in_folders_of_the_system_are_ignored_and_counted(tree: Write, name: str) -> None:
    listed = listing(tree({**PAIR, name: b""}))
    assert listed.classes == ("cat", "dog")
    assert len(listed.samples) == 2
    assert listed.ignored == (Ignored("images in folders of the system", (name,)),)
    assert list(notes_of(listed)) == [f"ignored 1 images in folders of the system: {name}"]


def test_hidden_folders_and_files_are_ignored_and_counted(tree: Write) -> None:
    names = {f".NET/{k}.jpg": b"" for k in range(4)} | {"cat/._1.jpg": b""}
    listed = listing(tree({**PAIR, **names, ".git/config": b""}))
    assert listed.classes == ("cat", "dog")
    assert [(each.what, len(each.names)) for each in listed.ignored] == [("hidden images", 5)]
    assert list(notes_of(listed)) == [
        "ignored 5 hidden images: .NET/0.jpg, .NET/1.jpg, .NET/2.jpg, ..."
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root can list every folder")
def test_closed_folder_of_the_system_is_passed_over(tree: Write) -> None:
    root = tree({**PAIR, "lost+found/x": b"", "closed/x": b""})
    (root / "lost+found").chmod(0)
    (root / "closed").chmod(0)
    try:
        with pytest.raises(DataError, match=r"cannot list '.*closed'"):
            listing(root)
        (root / "closed").chmod(0o700)
        (root / "closed/x").unlink()
        (root / "closed").rmdir()
        assert listing(root).classes == ("cat", "dog")
    finally:
        (root / "lost+found").chmod(0o700)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("name", ["cat/photo", "cat/1.jpg_large", "cat/x.jpeg~", "cat/May 3.1 b"])
def test_image_without_the_suffix_of_one_is_recognised_by_its_content(
    tree: Write, form: str, name: str
) -> None:
    listed = listing(tree({**PAIR, name: encoded(form)}))
    assert {sample.name: sample.label for sample in listed.samples}[name] == "cat"
    assert listed.odd_images == (name,)
    assert listed.others == ()
    assert list(notes_of(listed)) == [
        f"1 image has no image suffix and is recognised by its content: {name}"
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cat/notes", b"some text"),
        ("cat/raw.nef", encoded("TIFF")),
        ("cat/Thumbs.db", encoded("JPEG")),
        ("cat/notes.txt", encoded("JPEG")),
        ("cat/empty", b""),
    ],
)
def test_other_files_stay_other_files(tree: Write, name: str, content: bytes) -> None:
    listed = listing(tree({**PAIR, name: content}))
    assert listed.odd_images == ()
    assert listed.others == (name,)


def test_excluded_image_without_suffix_stays_excluded(tree: Write) -> None:
    listed = listing(tree({**PAIR, "cat/x": encoded("PNG"), "cat/y": encoded("PNG")}), "cat/x")
    assert {sample.name for sample in listed.samples} == {"cat/1.jpg", "cat/y", "dog/2.jpg"}


def test_images_without_labels_are_screened_too(tree: Write) -> None:
    files: Tree = {"a/1.jpg": b"", "a/1_mask.png": b"", "a/x": encoded("PNG"), ".b/2.jpg": b"",
                   "a/note.md": b""}  # fmt: skip
    listed = list_unlabelled(open_container(tree(files)), "images")
    assert [sample.name for sample in listed.samples] == ["a/1.jpg", "a/x"]
    assert [each.what for each in listed.ignored] == ["masks", "hidden images"]
    assert listed.others == ("a/note.md",)


FORMS = {
    "colours": ("color", "grayscale", "segmented"),
    "augmentation": ("leaves_with_augmentation", "leaves_without_augmentation"),
    "parts": ("fold_1", "fold_2", "fold_3"),
    "sensors": ("RGB", "Thermal"),
}


@pytest.mark.parametrize("forms", [FORMS["colours"], FORMS["parts"], FORMS["sensors"]])
@pytest.mark.parametrize("base", ["", "train/", "outer/"])
def test_forms_of_the_same_images_are_refused_until_one_is_left(
    tree: Write, forms: tuple[str, ...], base: str
) -> None:
    files: Tree = {
        f"{base}{form}/{label}/{k}.jpg": b""
        for form in forms for label in ("apple", "corn", "fig") for k in range(2)
    }  # fmt: skip
    root = tree(files)
    with pytest.raises(DataError, match=rf"{base}{forms[0]}, .* have the same folders") as caught:
        listing(root)
    assert f"exclude: ['{base}{forms[1]}/*'" in caught.value.remedy
    others = [f"{base}{form}/*" for form in forms[1:]]
    if base != "train/":
        assert listing(root, *others).classes == ("apple", "corn", "fig")


def test_forms_above_splits_are_refused(tree: Write) -> None:
    files: Tree = {
        f"{form}/{split}/{label}/1.jpg": b""
        for form in ("color", "gray") for split in ("train", "test") for label in "ab"
    }  # fmt: skip
    with pytest.raises(DataError, match="color, gray have the same folders inside"):
        listing(tree(files))


@pytest.mark.parametrize("names", [("color", "gray"), ("cat", "dog"), ("depth", "rgb")])
def test_folders_without_the_same_folders_inside_are_classes(
    tree: Write, names: tuple[str, ...]
) -> None:
    files: Tree = {f"{name}/{name}{k}/1.jpg": b"" for name in names for k in range(2)}
    assert listing(tree(files)).classes == names


def test_same_folders_inside_other_names_belong_to_the_class(tree: Write) -> None:
    files: Tree = {f"{name}/{when}/1.jpg": b"" for name in ("cat", "dog") for when in "ab"}
    assert listing(tree(files)).classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("name", "is_thumbnail"),
    [
        ("cat/thumbs/1.jpg", True),
        ("cat/Thumbnails/1_thumb.png", True),
        ("cat/1_thumbnail.jpg", True),
        ("cat/thumbs/3.jpg", False),
        ("cat/3_thumb.jpg", False),
        ("thumb/1.jpg", False),
    ],
)
def test_small_copies_of_images_are_ignored(tree: Write, name: str, is_thumbnail: bool) -> None:  # noqa: FBT001
    listed = listing(tree({**PAIR, name: b""}))
    assert (name in {sample.name for sample in listed.samples}) is not is_thumbnail
    assert [each.what for each in listed.ignored] == ["thumbnails"] * is_thumbnail


@pytest.mark.parametrize(
    ("name", "is_picture"),
    [
        ("cat/1_depth.png", True),
        ("cat/1-heatmap.jpg", True),
        ("cat/1_pred.jpg", True),
        ("cat/1 bboxes.jpg", True),
        ("cat/3_depth.png", False),
        ("dog/1_depth.png", False),
        ("cat/1_normal.jpg", False),
    ],
)
def test_pictures_made_of_an_image_are_ignored_beside_it(
    tree: Write,
    name: str,
    is_picture: bool,  # noqa: FBT001
) -> None:
    listed = listing(tree({**PAIR, name: b""}))
    expected = (Ignored("pictures made of other images", (name,)),) if is_picture else ()
    assert listed.ignored == expected
    assert (name in {sample.name for sample in listed.samples}) is not is_picture


def test_images_in_formats_that_are_not_read_are_counted(tree: Write) -> None:
    listed = listing(tree({**PAIR, "cat/2.dcm": b"", "cat/3.CR2": b"", "cat/notes.md": b""}))
    assert list(notes_of(listed)) == [
        "2 files are images in a format that is not read: cat/2.dcm, cat/3.CR2"
    ]
