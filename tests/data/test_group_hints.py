"""Images that belong together are named with the line that keeps them in one split."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import yaml

from edgetl.config.recipe import DataTable
from edgetl.data.image_sets import find_label_kind, open_images
from edgetl.data.listing import Listing
from edgetl.data.listing_notes import notes_of
from edgetl.tasks import TASKS, tasks_with
from edgetl.types import Role

Write = Callable[[dict[str, bytes | None]], Path]
_ENTRY = re.compile(r"`data: (\{group: .*\})`$")


def listing(root: Path, data: str = "{}", role: Role = Role.DATA) -> Listing:
    """Return the listing of a folder with a recipe's table `data`."""
    table = DataTable.model_validate({"path": str(root), **yaml.safe_load(data)})
    task = TASKS.load(tasks_with(find_label_kind(root))[0]).data
    with open_images(root, None, (), task, group=table.group, role=role) as images:
        return images.listing


def hint(root: Path) -> str:
    listed = listing(root)
    assert [*notes_of(listed)][:1] == ([listed.group_hint] if listed.group_hint else [])
    return listed.group_hint


def groups_by(root: Path, text: str) -> set[frozenset[str]]:
    """Return the images of each group that the line in a hint makes."""
    match = _ENTRY.search(text)
    assert match
    listed = listing(root, match[1])
    assert listed.group_hint == ""
    assert listed.groups.keys() == {sample.name for sample in listed.samples}
    groups = set(listed.groups.values())
    return {
        frozenset(name for name, group in listed.groups.items() if group == each) for each in groups
    }


def named(pattern: str, classes: Iterable[str] = ("run", "walk"), **counts: int) -> list[str]:
    """Return the names by a pattern with the fields `label`, `group` and `k`."""
    return [
        pattern.format(label=label, group=group + 10 * number, k=k)
        for number, label in enumerate(classes)
        for group in range(counts.get("groups", 3))
        for k in range(1, counts.get("each", 5) + 1)
    ]


@pytest.mark.parametrize(
    ("pattern", "what", "entry", "count"),
    [
        ("{label}/clip{group}_{k:04}.jpg", "6 clips, by their names (clip0, clip1, clip10, ...)",
         r"'(?i)(clip[\s_-]*\d+)'", 6),
        ("{label}/{group}/{k:04}.jpg", "6 recordings, by their folders (0, 1, 10, ...)",
         r"'([^/]+)/[^/]+$'", 6),
        ("{label}/day_{group}_{k}.jpg",
         "6 recordings, by the numbers of their names (day_0_, day_10_, day_11_, ...)",
         r"'([^/]*[^/\d])\d+\.\w+$'", 6),
        ("{label}/b{group}_mp4-{k}_jpg.rf.a{k}{group}.jpg", "6 videos (b0, b1, b10, ...)",
         r"'([^/]+)_(?:mp4|mov|avi|mkv|webm|MP4|MOV|AVI)-\d+'", 6),
        ("{label}/Patient {group}, view {k}.jpg",
         "6 patients, by their names (Patient 0, Patient 1, Patient 10, ...)",
         r"'(?i)(patient[\s_-]*\d+)'", 6),
        ("{label}/{label}-g{group}_{k:03}.jpg",
         "6 recordings, by the numbers of their names (run-g0_, run-g1_, run-g2_, ...)",
         r"'([^/]*[^/\d])\d+\.\w+$'", 6),
    ],
    ids=["clips", "folders", "numbers", "exported frames", "patients", "named by class"],
)  # fmt: skip
def test_images_of_one_recording_or_subject(
    tree: Write, pattern: str, what: str, entry: str, count: int
) -> None:
    names = named(pattern)
    root = tree(dict.fromkeys(names, b""))
    text = hint(root)
    assert text == (
        f"30 images seem to be of {what}, and a split by chance would divide them, so that "
        f"measured accuracy may be too high; keep each in one split with `data: {{group: {entry}}}`"
    )
    groups = groups_by(root, text)
    assert {len(each) for each in groups} == {5}
    assert len(groups) == count


def test_folders_that_repeat_in_classes_are_told_apart(tree: Write) -> None:
    names = [
        f"{label}/{group}/{k}.jpg" for label in ("a", "b") for group in "123" for k in range(4)
    ]
    root = tree(dict.fromkeys(names, b""))
    text = hint(root)
    assert "6 recordings, by their folders (a/1, a/2, a/3, ...)" in text
    assert len(groups_by(root, text)) == 6


@pytest.mark.parametrize(
    ("pattern", "example"),
    [
        ("{label}/v_{label}_g{group}/frame{k:05}.jpg", "v_run_g0, v_run_g1, v_run_g2, ..."),
        ("{label}/SOB-{group}/40X/{k}.png", "SOB-0, SOB-1, SOB-10, ..."),
    ],
    ids=["UCF101", "BreaKHis"],
)
def test_outermost_folders_in_each_class_are_the_groups(
    tree: Write, pattern: str, example: str
) -> None:
    root = tree(dict.fromkeys(named(pattern), b""))
    text = hint(root)
    assert f"30 images seem to be of 6 recordings, by their folders ({example})" in text
    assert sorted(map(len, groups_by(root, text))) == [5] * 6


def test_images_that_stand_alone_are_groups_of_one(tree: Write) -> None:
    names = [f"sick/person{p}_virus_{2 * p + k}.jpg" for p in range(8) for k in range(2)]
    names += [f"well/person{p}_{k}.jpg" for p in range(20, 24) for k in range(2)]
    names += [f"well/IM-{k:04}.jpg" for k in range(3)]
    root = tree(dict.fromkeys(names, b""))
    text = hint(root)
    assert r"`data: {group: '(?i)(person[\s_-]*\d+|[^/]+$)'}`" in text
    assert sorted(map(len, groups_by(root, text))) == [1] * 3 + [2] * 12


@pytest.mark.parametrize(
    ("pattern", "where"),
    [
        ("{label}/{group}_{sensor}.png", "names"),
        ("{label}/{sensor}_{label}{group}.png", "names"),
        ("{label}/{sensor}/{label}{group}.png", "folders"),
    ],
)
def test_pairs_of_two_sensors(tree: Write, pattern: str, where: str) -> None:
    names = [
        pattern.format(label=label, group=group, sensor=sensor)
        for label in ("a", "b") for group in range(5) for sensor in ("RGB", "ir")
    ]  # fmt: skip
    root = tree(dict.fromkeys(names, b""))
    text = hint(root)
    assert f"20 images seem to be of 10 pairs of RGB and ir, by their {where} (a" in text
    assert sorted(map(len, groups_by(root, text))) == [2] * 10


@pytest.mark.parametrize("column", ["patient_id", "Lesion ID", "subject"])
def test_column_of_a_table(tree: Write, column: str) -> None:
    rows = [f"{k}.jpg,P{k // 3},{'ab'[k // 3 % 2]}" for k in range(24)]
    files: dict[str, bytes | None] = {f"images/{k}.jpg": b"" for k in range(24)}
    files["labels.csv"] = "\n".join([f"file,{column},label", *rows]).encode()
    root = tree(files)
    text = hint(root)
    assert (
        f"24 images seem to be of 8 groups, by the column '{column}' of labels.csv (P0, P1, P2, "
        "...)" in text
    )
    assert sorted(map(len, groups_by(root, text))) == [3] * 8


def test_recordings_in_several_splits_are_to_be_moved(tree: Write) -> None:
    names = [f"{split}/{name}" for split in ("train", "val", "test")
             for name in named("{label}/clip{group}_" + split + "{k}.jpg")]  # fmt: skip
    text = hint(tree(dict.fromkeys(names, b"")))
    assert "of 6 clips, by their names (clip0, clip1, clip10, ...), and 6 of them are in" in text
    assert "; move the images of each into one split; what is left is refused with `data:" in text


def test_recordings_that_no_split_divides_need_no_hint(tree: Write) -> None:
    names = [
        f"{split}/{label}/clip{number}{group}_{k}.jpg"
        for number, split in enumerate(("train", "val", "test"))
        for label in ("run", "walk") for group in range(3) for k in range(4)
    ]  # fmt: skip
    assert hint(tree(dict.fromkeys(names, b""))) == ""


@pytest.mark.parametrize(
    "names",
    [
        named("{label}/img_{group}{k:04}.jpg"),
        named("{label}/{group}{k:04}.jpg", each=12),
        named("{label}/{label}_{group}{k:04}.jpg"),
        named("{label}/{label} ({group}{k}).jpg"),
        [f"{label}/{brand}_{k:04}.jpg" for label in "ab" for brand in ("IMG", "DSC", "PXL")
         for k in range(9)],
        [f"{label}/{kind}/{k:04}.jpg" for label in "ab" for kind in ("x" + label, "y" + label)
         for k in range(9)],
        [f"{n}/{n}_{k:04}.jpg" for n in range(5) for k in range(9)],
        [f"{label}/person_{k:03}.jpg" for label in "ab" for k in range(9)],
        [f"{label}/IMG_2024010{k}_{k * k * 777:06}.jpg" for label in "ab" for k in range(9)],
        [f"{label}/100CANON/{k}.jpg" for label in "ab" for k in range(9)],
        [f"{label}/clip{n}_{k:04}.jpg" for n, label in enumerate("abcde") for k in range(9)],
    ],
    ids=["img", "numbers", "class", "browser", "cameras", "kinds", "numbered classes", "persons",
         "times", "camera folders", "one clip per class"],
)  # fmt: skip
def test_ordinary_names_get_no_hint(tree: Write, names: list[str]) -> None:
    assert hint(tree(dict.fromkeys(names, b""))) == ""


def test_frames_with_boxes_are_named_too(tree: Write) -> None:
    files: dict[str, bytes | None] = {"data.yaml": b"names: [nut]\n"}
    for name in named("scene{group}_{k:03}", ("x",)):
        files |= {f"images/{name}.jpg": b"", f"labels/{name}.txt": b"0 .5 .5 .1 .1\n"}
    assert "15 images seem to be of 3 scenes, by their names (scene0, scene1, scene2)" in hint(
        tree(files)
    )


def test_images_that_are_only_measured_on_are_not_divided(tree: Write) -> None:
    root = tree(dict.fromkeys(named("{label}/clip{group}_{k}.jpg"), b""))
    assert listing(root, role=Role.EVALUATION).group_hint == ""
