"""A list of images and class numbers beside class folders agrees with them, or is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from edgetl.data.container import open_container
from edgetl.data.sources import Listing, list_samples
from edgetl.errors import DataError
from edgetl.tasks import TASKS

Tree = Mapping[str, bytes | None]
Write = Callable[[Tree], Path]
IMAGES: Tree = {f"{label}/{k}.jpg": b"" for label in ("cat", "dog") for k in range(5)}


def lines(cat: int, dog: int, **changed: int) -> bytes:
    """Return a list of all images with the numbers of their classes, but for `changed` ones."""
    numbers = {name: cat if name.startswith("cat") else dog for name in sorted(IMAGES)}
    numbers |= {name.replace("_", "/") + ".jpg": number for name, number in changed.items()}
    return "".join(f"{name} {number}\n" for name, number in numbers.items()).encode()


def listing(root: Path, layout: str = "") -> Listing:
    task = TASKS.load("classification").data
    return list_samples(open_container(root), "images", task, layout)


@pytest.mark.parametrize(
    "files",
    [
        {"train.txt": lines(0, 1), "synsets.txt": b"cat\ndog\n"},
        {"train.txt": lines(1, 0), "synsets.txt": b"dog\ncat\n"},
        {"train.txt": lines(4, 2)},
        {"lists/all.lst": lines(0, 1).replace(b" ", b"\t")},
    ],
    ids=["CVAT", "other order", "no names", "tabs"],
)
def test_list_that_agrees_with_the_folders_is_no_obstacle(tree: Write, files: Tree) -> None:
    listed = listing(tree({**IMAGES, **files}))
    assert {(each.name, each.label) for each in listed.samples} == {
        (name, name.partition("/")[0]) for name in IMAGES
    }
    assert listed.given == frozenset()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"train.txt": lines(0, 1, cat_3=1), "synsets.txt": b"cat\ndog\n"},
            (
                "1 line contradicts the folders: train.txt:4: 'cat/3.jpg' is 1, which is 'dog' in "
                "synsets.txt"
            ),
        ),
        (
            {"train.txt": lines(0, 1, cat_3=1, dog_0=7)},
            (
                "2 lines contradict the folders: train.txt:4: 'cat/3.jpg' is 1, which is 'dog' for "
                "most images, train.txt:6: 'dog/0.jpg' is 7, no class for most images"
            ),
        ),
    ],
    ids=["with names", "without names"],
)
def test_list_that_contradicts_some_folders_is_refused_by_name(
    tree: Write, files: Tree, message: str
) -> None:
    root = tree({**IMAGES, **files})
    with pytest.raises(DataError, match=r"contradicts? the folders") as caught:
        listing(root)
    assert caught.value.message == message
    assert caught.value.remedy == (
        "move these images, fix train.txt, or read the folders alone with `data: {layout: folder}`"
    )
    assert listing(root, "folder").classes == ("cat", "dog")


@pytest.mark.parametrize(
    "text",
    [
        b"".join(f"{name} {k}\n".encode() for k, name in enumerate(IMAGES)),
        lines(0, 0),
        lines(0, 1).replace(b".jpg", b".jpg x"),
    ],
    ids=["a number per image", "one number", "more than a number"],
)
def test_other_numbers_are_labels_that_are_not_read(tree: Write, text: bytes) -> None:
    with pytest.raises(DataError, match=r"have labels that are not read: .*train\.txt"):
        listing(tree({**IMAGES, "train.txt": text}))
