from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from edgetl.config.recipe import DataTable, GroupColumn
from edgetl.data.audit import Audit, examine
from edgetl.data.container import open_container
from edgetl.data.findings import Allowed
from edgetl.data.groups import copies_of, stated_groups, straddling
from edgetl.data.listing import Listing, Sample
from edgetl.data.splits import SplitPolicy, divide
from edgetl.errors import DataError
from edgetl.types import Split

Write = Callable[[Mapping[str, bytes | None]], Path]
TRAIN, VAL, TEST = Split.TRAIN, Split.VAL, Split.TEST
FLAT = SplitPolicy(test_is_val=False, split_off={TEST: 0.2, VAL: 0.2})


def test_copies_of_roboflow_share_the_name_before_the_hash() -> None:
    names = ["train/a_jpg.rf.1234abcd.jpg", "train/a_jpg.rf.9999.jpg", "train/b_jpg.rf.1.jpg"]
    assert copies_of(names) == dict.fromkeys(names[:2], "a_jpg")


@pytest.mark.parametrize(
    "copy",
    ["1_flip.jpg", "1_hflip_2.png", "1-rot90.jpg", "1_90deg.JPG", "1_new30degFlipLR.JPG",
     "1_flipTB.jpg", "1 augmented 3.jpg", "1_blur_noise.jpg", "1_aug.jpg"],
)  # fmt: skip
def test_copies_carry_the_name_of_their_source(copy: str) -> None:
    names = ["cat/1.jpg", f"cat/{copy}"]
    assert copies_of([*names, "cat/2.jpg"]) == dict.fromkeys(names, "cat/1")


@pytest.mark.parametrize(
    "names",
    [
        ["cat/1_flip.jpg", "cat/2_flip.jpg"],
        ["cat/1.jpg", "dog/1_flip.jpg"],
        ["train/cat/1.jpg", "test/cat/1.jpg"],
        ["cat/1.jpg", "cat/1_b.jpg", "cat/11.jpg", "cat/1.png"],
        [f"cat/image_jpg.rf.{k:08}.jpg" for k in range(61)],
    ],
    ids=["no source", "other folder", "splits", "other names", "too many"],
)
def test_other_names_are_no_copies(names: list[str]) -> None:
    assert copies_of(names) == {}


@pytest.mark.parametrize(
    "copy",
    ["cat_original_IMG_1.jpg_0a3b-77.jpg", "aug_IMG_1_4711.png", "flipped-IMG_1.jpg",
     "Copy of IMG_1.jpg"],
)  # fmt: skip
def test_copies_may_carry_a_word_in_front_of_the_name_of_their_source(copy: str) -> None:
    names = ["cat/IMG_1.jpg", f"cat/{copy}"]
    assert copies_of([*names, "cat/IMG_2.jpg"]) == dict.fromkeys(names, "cat/IMG_1")
    assert copies_of(["cat/IMG_2.jpg", f"cat/{copy}"]) == {}


def test_groups_across_splits_are_named() -> None:
    groups = {"a": "x", "b": "x", "c": "y", "d": "y"}
    assert straddling(groups, {"a": TRAIN, "b": TEST, "c": VAL, "d": VAL, "e": TEST}) == {
        "x": ["a", "b"]
    }


def test_expression_takes_its_group_from_the_path(tree: Write) -> None:
    names = ["cat/p1_a.jpg", "cat/p1_b.jpg", "dog/p2_a.jpg"]
    container = open_container(tree(dict.fromkeys(names, b"")))
    groups = stated_groups(container, names, r"/(p\d+)_")
    assert [*groups.values()] == ["p1", "p1", "p2"]
    with pytest.raises(DataError, match=r"1 image has no group by `data.group` '\(p1\)': dog/p2_a"):
        stated_groups(container, names, "(p1)")


def test_column_gives_the_group_of_each_image(tree: Write) -> None:
    names = ["cat/1.jpg", "dog/2.jpg"]
    table = b"file,patient\n1.jpg,anna\n2.jpg,bob\n"
    container = open_container(tree({**dict.fromkeys(names, b""), "meta.csv": table}))
    column = GroupColumn(file="meta.csv", column="patient")
    assert stated_groups(container, names, column) == {"cat/1.jpg": "anna", "dog/2.jpg": "bob"}
    with pytest.raises(DataError, match=r"1 image has no group by the column 'patient' of meta"):
        stated_groups(container, [*names, "dog/3.jpg"], column)


@pytest.mark.parametrize(
    ("file", "column", "what"),
    [
        ("x.csv", "patient", "of 'x.csv', but there is no such file"),
        ("meta.csv", "person", "of 'meta.csv', but it has the columns file, patient"),
        ("other.csv", "a", "of 'other.csv', but no column of it names the images"),
    ],
)
def test_missing_column_is_refused(tree: Write, file: str, column: str, what: str) -> None:
    files = {"cat/1.jpg": b"", "meta.csv": b"file,patient\n1.jpg,a\n", "other.csv": b"a,b\n1,2\n"}
    with pytest.raises(DataError, match=what):
        stated_groups(
            open_container(tree(files)), ["cat/1.jpg"], GroupColumn(file=file, column=column)
        )


@pytest.mark.parametrize(
    ("group", "what"),
    [
        ("patient", "needs one group in parentheses, for example '(patient\\d+)', not 0"),
        ("(a)(b)", "not 2"),
        ("(a", "is no regular expression: missing )"),
    ],
)
def test_expression_without_exactly_one_group_is_refused(group: str, what: str) -> None:
    with pytest.raises(ValueError, match=re.escape(what)):
        DataTable(path=".", group=group)


def audit(
    labels: Mapping[str, str],
    groups: Mapping[str, str],
    *,
    given: Mapping[str, Split] | None = None,
) -> Audit:
    """Examine images of different content."""
    splits = given or {}
    samples = [Sample(name, label, splits.get(name)) for name, label in sorted(labels.items())]
    listing = Listing(
        samples=tuple(samples), classes=tuple(sorted(set(labels.values()))),
        given=frozenset(splits.values()), unlabelled=(), others=(),
        groups=groups, states_groups=True,
    )  # fmt: skip
    policy = SplitPolicy(test_is_val=False, split_off={}) if splits else FLAT
    contents = {name: f"content of {name}" for name in labels}
    return examine(listing, contents, {}, policy=policy, seed=3, allowed=Allowed())


def placed(result: Audit) -> dict[str, Split]:
    return {sample.name: split for split, each in result.placed.items() for sample in each}


def test_no_group_is_in_two_splits_and_every_split_has_every_class() -> None:
    """Twenty patients with three to five images each; some have images of both classes."""
    labels, groups = {}, {}
    for patient in range(20):
        for k in range(3 + patient % 3):
            name = f"p{patient:02}_{k}.jpg"
            labels[name] = "ill" if (patient % 2 and k) or patient % 5 == 0 else "well"
            groups[name] = f"p{patient:02}"
    result = audit(labels, groups)
    assert result.findings == ()
    splits = placed(result)
    assert len(splits) == len(labels)
    assert straddling(groups, splits) == {}
    share = sum(split is TEST for split in splits.values()) / len(labels)
    assert 0.12 <= share <= 0.28


def test_images_without_groups_are_divided_as_before() -> None:
    labels = {f"{label}{k}.jpg": label for label in ("a", "b") for k in range(20)}
    sizes = {
        label: [(f"content of {name}", 1) for name in labels if labels[name] == label]
        for label in ("a", "b")
    }
    expected = {
        content.removeprefix("content of "): split
        for label in ("a", "b")
        for content, split in divide(sizes[label], FLAT.split_off, 3).items()
    }
    assert placed(audit(labels, {})) == expected


def test_group_that_the_splits_of_the_data_tear_apart_is_refused() -> None:
    labels = {f"{label}{k}.jpg": label for label in ("a", "b") for k in range(3)}
    given = {name: [TRAIN, VAL, TEST][int(name[1])] for name in labels}
    result = audit(labels, {"a0.jpg": "p", "a2.jpg": "p", "b1.jpg": "q"}, given=given)
    (finding,) = result.findings
    assert finding.title == "group in several splits"
    assert finding.examples == ("p: train a0.jpg, test a2.jpg",)
    assert "move the images of a group into one split" in finding.fix


def test_large_group_is_passed_over_while_there_are_smaller_ones() -> None:
    """A test split of two images does not get a group of thirty, whatever the order."""
    groups = [("big", 30)] + [(f"small {k}", 1) for k in range(6)]
    for seed in range(20):
        splits = divide(groups, {TEST: 0.05}, seed, mixed={"big"})
        assert splits["big"] is TRAIN
        assert sum(split is TEST for split in splits.values()) == 2


def test_smallest_group_is_taken_where_all_are_too_large() -> None:
    groups = [("a", 30), ("b", 20), ("c", 25)]
    for seed in range(10):
        splits = divide(groups, {TEST: 0.05}, seed, mixed={"a", "b", "c"})
        assert [content for content, split in splits.items() if split is TEST] == ["b"]
