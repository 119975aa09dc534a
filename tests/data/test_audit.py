from __future__ import annotations

from collections.abc import Mapping

import pytest

from edgetl.config.recipe import Drop
from edgetl.data.audit import Audit, examine
from edgetl.data.findings import Allowed, find_unreadable, refuse
from edgetl.data.sources import Listing, Sample
from edgetl.data.splits import SplitPolicy
from edgetl.errors import DataError
from edgetl.runtime.errors import SAVE_AGAIN
from edgetl.types import Split

GIVEN = SplitPolicy(test_is_val=False, split_off={})
FLAT = SplitPolicy(test_is_val=False, split_off={Split.TEST: 0.2, Split.VAL: 0.2})
SPLITS = {split.value: split for split in Split}


def valid_data(policy: SplitPolicy) -> dict[str, str]:
    """Return names with contents of two classes with three images in each split."""
    splits = ["train/", "val/", "test/"] if policy is GIVEN else [""]
    names = [
        f"{split}{label}/{k}.jpg"
        for split in splits
        for label in ("gear", "nut")
        for k in range(9 // len(splits))
    ]
    return {name: f"content of {name}" for name in names}


def audit(
    contents: Mapping[str, str],
    *,
    policy: SplitPolicy = GIVEN,
    unreadable: Mapping[str, str] | None = None,
    drop: tuple[Drop, ...] = (),
    more_classes: tuple[str, ...] = (),
    unlabelled: tuple[str, ...] = (),
) -> Audit:
    bad = unreadable or {}
    samples = []
    for name in sorted({*contents, *bad}):
        *_, label, _ = name.split("/")
        samples.append(Sample(name, label, SPLITS.get(name.split("/")[0])))
    listing = Listing(
        samples=tuple(samples),
        classes=tuple(sorted({sample.label for sample in samples} | set(more_classes))),
        given=frozenset(),
        unlabelled=unlabelled,
        others=(),
    )
    allowed = Allowed(drop=frozenset(drop))
    return examine(listing, contents, bad, policy=policy, seed=0, allowed=allowed)


def names(result: Audit, split: Split) -> list[str]:
    return [sample.name for sample in result.placed[split]]


def test_valid_data_have_no_findings() -> None:
    result = audit(valid_data(GIVEN))
    result.refuse_if_wrong("images")
    assert result.classes == ("gear", "nut")
    assert names(result, Split.VAL)[0] == "val/gear/0.jpg"
    assert result.dropped == ()
    assert result.num_repeated == 0


def test_flat_data_are_split_per_class() -> None:
    result = audit(valid_data(FLAT), policy=FLAT)
    assert [len(result.placed[split]) for split in Split] == [10, 4, 4]
    assert {sample.label for sample in result.placed[Split.TEST]} == {"gear", "nut"}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        pytest.param(
            {"unreadable": {"train/nut/9.jpg": "cannot read image 'train/nut/9.jpg': empty"}},
            r"1 x unreadable image:\n    cannot read image 'train/nut/9\.jpg': empty\n"
            r"  drop them with `data: \{drop: \[unreadable\]\}`",
            id="unreadable",
        ),
        pytest.param(
            {"more_classes": ("bolt",)},
            r"1 x class without images:\n    bolt\n  drop them with .*\[empty-classes\]",
            id="empty class",
        ),
        pytest.param(
            {"more_classes": ("Nut",), "drop": (Drop.EMPTY_CLASSES,)},
            r"1 x class names that differ only in case:\n    Nut and nut\n  fix the folders",
            id="case",
        ),
        pytest.param(
            {"unlabelled": ("train/9.jpg",)},
            r"1 x image outside of any class folder:\n    train/9\.jpg",
            id="unlabelled",
        ),
    ],
)
def test_wrong_data_are_refused(change: dict[str, object], what: str) -> None:
    result = audit(valid_data(GIVEN), **change)  # type: ignore[arg-type]  # each row fits one keyword
    with pytest.raises(DataError, match=what):
        result.refuse_if_wrong("images")


def test_all_problems_are_in_one_report_with_ten_examples_each() -> None:
    contents = valid_data(GIVEN)
    contents["train/nut/0.jpg"] = contents["test/nut/0.jpg"]
    contents["train/gear/1.jpg"] = contents["val/nut/1.jpg"]
    unreadable = {f"train/nut/bad{k}.jpg": f"bad {k}" for k in range(12)}
    with pytest.raises(DataError, match=r"12 x unreadable image:") as caught:
        audit(contents, unreadable=unreadable, more_classes=("bolt",)).refuse_if_wrong("images")
    lines = caught.value.message.splitlines()
    assert lines[0] == "the data in 'images' cannot be used as they are:"
    assert lines[1:13] == [
        "  12 x unreadable image:",
        *(f"    bad {k}" for k in (0, 1, 10, 11, 2, 3, 4, 5, 6, 7)),
        "    and 2 more",
    ]
    assert lines[13:] == [
        "  1 x group of equal images in several splits:",
        "    test/nut/0.jpg = train/nut/0.jpg",
        "  1 x group of equal images with different labels:",
        "    train/gear/1.jpg = val/nut/1.jpg",
        "  1 x class without images:",
        "    bolt",
    ]
    assert caught.value.remedy == (
        "drop them with `data: {drop: [duplicates, empty-classes, unreadable]}`"
    )


def test_unreadable_images_and_empty_classes_are_dropped_on_request() -> None:
    result = audit(
        valid_data(GIVEN),
        unreadable={"train/bolt/1.jpg": "cut short"},
        drop=(Drop.UNREADABLE, Drop.EMPTY_CLASSES),
    )
    result.refuse_if_wrong("images")
    assert result.classes == ("gear", "nut")
    assert [(one.name, one.kind.value, one.reason) for one in result.dropped] == [
        ("train/bolt/1.jpg", "unreadable", "cut short"),
        ("bolt", "empty-classes", "no images"),
    ]


def test_of_duplicates_across_splits_the_copy_in_the_latest_split_is_kept() -> None:
    contents = valid_data(GIVEN)
    contents["train/nut/0.jpg"] = contents["val/nut/0.jpg"] = contents["test/nut/0.jpg"]
    contents["train/gear/0.jpg"] = contents["val/gear/0.jpg"]
    result = audit(contents, drop=(Drop.DUPLICATES,))
    result.refuse_if_wrong("images")
    assert {(one.name, one.reason) for one in result.dropped} == {
        ("train/nut/0.jpg", "equal to test/nut/0.jpg"),
        ("val/nut/0.jpg", "equal to test/nut/0.jpg"),
        ("train/gear/0.jpg", "equal to val/gear/0.jpg"),
    }


def test_of_duplicates_with_different_labels_none_is_kept() -> None:
    contents = valid_data(GIVEN)
    contents["train/nut/0.jpg"] = contents["train/gear/0.jpg"]
    result = audit(contents, drop=(Drop.DUPLICATES,))
    assert [one.name for one in result.dropped] == ["train/gear/0.jpg", "train/nut/0.jpg"]


def test_duplicates_in_a_flat_folder_stay_together_and_are_counted() -> None:
    contents = valid_data(FLAT)
    contents |= {f"nut/copy{k}.jpg": contents[f"nut/{k}.jpg"] for k in range(9)}
    result = audit(contents, policy=FLAT)
    result.refuse_if_wrong("images")
    assert result.num_repeated == 9
    split_of = {sample.name: split for split in Split for sample in result.placed[split]}
    assert all(split_of[f"nut/{k}.jpg"] is split_of[f"nut/copy{k}.jpg"] for k in range(9))


def test_duplicates_in_a_flat_folder_are_dropped_on_request() -> None:
    contents = valid_data(FLAT)
    contents["nut/copy.jpg"] = contents["nut/0.jpg"]
    result = audit(contents, policy=FLAT, drop=(Drop.DUPLICATES,))
    assert [(one.name, one.reason) for one in result.dropped] == [
        ("nut/copy.jpg", "equal to nut/0.jpg")
    ]
    assert result.num_repeated == 0


def test_class_that_a_split_lacks_is_refused() -> None:
    contents = {name: text for name, text in valid_data(GIVEN).items() if "val/nut" not in name}
    with pytest.raises(
        DataError, match=r"class that a split lacks:\n    nut \(6 images\): none in val"
    ):
        audit(contents).refuse_if_wrong("images")


def test_single_class_is_refused() -> None:
    contents = {name: text for name, text in valid_data(FLAT).items() if "nut" in name}
    with pytest.raises(DataError, match=r"class, but at least two are needed:\n    nut"):
        audit(contents, policy=FLAT).refuse_if_wrong("images")


def test_copy_of_a_class_is_to_be_excluded_not_dropped() -> None:
    contents = {
        f"{label}/{k}.jpg": f"{label[:3]} {k}" for label in ("cat", "dog") for k in range(5)
    }
    contents |= {f"cat - Copy/{k}.jpg": f"cat {k}" for k in range(5)}
    with pytest.raises(DataError, match="5 x group of equal images with different") as caught:
        audit(contents, policy=FLAT).refuse_if_wrong("images")
    assert caught.value.remedy == (
        "'cat - Copy' has the images of 'cat': if it is a copy, exclude it with "
        "`data: {exclude: ['cat - Copy/*']}`; "
        "`drop: [duplicates]` would remove all images of cat, cat - Copy"
    )


def test_equal_images_of_two_classes_without_a_copied_class_are_dropped() -> None:
    contents = {f"{label}/{k}.jpg": f"{label} {k}" for label in ("cat", "dog") for k in range(9)}
    contents["dog/0.jpg"] = "cat 0"
    with pytest.raises(DataError, match="1 x group of equal images with different") as caught:
        audit(contents, policy=FLAT).refuse_if_wrong("images")
    assert caught.value.remedy == "drop them with `data: {drop: [duplicates]}`"


@pytest.mark.parametrize(
    ("count", "remedies", "remedy"),
    [
        pytest.param(2, {}, "drop them with `data: {drop: [unreadable]}`", id="few"),
        pytest.param(
            2, {"a": "convert it"}, "convert it; drop them with `data: {drop: [unreadable]}`",
            id="few with a remedy",
        ),
        pytest.param(
            2, {"a": SAVE_AGAIN}, "drop them with `data: {drop: [unreadable]}`", id="few others",
        ),
        pytest.param(
            6, {"a": SAVE_AGAIN},
            f"{SAVE_AGAIN}; `drop: [unreadable]` would remove 60% of the data",
            id="most",
        ),
    ],
)  # fmt: skip
def test_remedy_of_unreadable_images_depends_on_how_many_there_are(
    count: int, remedies: dict[str, str], remedy: str
) -> None:
    names = [chr(ord("a") + k) for k in range(count)]
    finding = find_unreadable(dict.fromkeys(names, "cannot read"), remedies, 10)
    with pytest.raises(DataError, match=f"{count} x unreadable image") as caught:
        refuse([finding], "images")
    assert caught.value.remedy == remedy


def test_classes_whose_images_cannot_be_read_are_not_reported_as_empty() -> None:
    contents = {f"{label}/{k}.jpg": f"{label} {k}" for label in ("cat", "dog") for k in range(9)}
    unreadable = {f"owl/{k}.jpg": f"cannot read {k}" for k in range(3)}
    result = audit(contents, policy=FLAT, unreadable=unreadable)
    assert [finding.title for finding in result.findings] == ["unreadable image"]
    dropped = audit(contents, policy=FLAT, unreadable=unreadable, drop=(Drop.UNREADABLE,))
    assert [finding.title for finding in dropped.findings] == ["class without images"]


@pytest.mark.parametrize(
    ("more", "example"),
    [
        ("gear ", "gear and 'gear '"),
        ("big_gear", "big gear and big_gear"),
        ("GEAR", "GEAR and gear"),
    ],
    ids=["space at the end", "separator", "case"],
)
def test_class_names_that_look_alike_are_named(more: str, example: str) -> None:
    labels = ("gear", "big gear", "nut", "A", "A-", more)
    contents = {f"{label}/{k}.jpg": f"{label} {k}" for label in labels for k in range(9)}
    (finding,) = audit(contents, policy=FLAT).findings
    assert finding.title.startswith("class names that differ only in ")
    assert finding.examples == (example,)
