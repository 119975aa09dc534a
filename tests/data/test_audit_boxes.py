"""Problems of classes and splits of labelled boxes, and their remedies."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from edgetl.config.recipe import Accept, Drop
from edgetl.data.audit import Audit, examine
from edgetl.data.box_lint import lint_boxes
from edgetl.data.findings import Allowed
from edgetl.data.sources import Box, LabelProblem, Listing, Sample
from edgetl.data.splits import SplitPolicy
from edgetl.errors import DataError
from edgetl.types import LabelKind, Split

GIVEN = SplitPolicy(test_is_val=False, split_off={})
FLAT = SplitPolicy(test_is_val=False, split_off={Split.TEST: 0.2, Split.VAL: 0.2})
ALL = frozenset(Accept)
CORNERS = (0.0, 0.0, 10.0, 10.0)


def audit(
    classes_by_split: Mapping[str, list[list[str]]],
    *,
    policy: SplitPolicy = GIVEN,
    classes: tuple[str, ...] = ("gear", "nut"),
    accept: frozenset[Accept] = frozenset(),
    drop: frozenset[Drop] = frozenset(),
    problems: tuple[LabelProblem, ...] = (),
) -> Audit:
    """Check images by split, each given as the classes of its boxes; `*` marks a crowd."""
    samples = []
    for split, images in classes_by_split.items():
        for number, labels in enumerate(images):
            name = f"{split}/{number}.jpg"
            boxes = tuple(
                Box(label.strip("*"), CORNERS, f"{name}, box {k}", crowd="*" in label)
                for k, label in enumerate(labels)
            )
            samples.append(Sample(name, "", None if policy is FLAT else Split(split), boxes))
    listing = Listing(
        samples=tuple(samples),
        classes=classes,
        given=frozenset(),
        unlabelled=(),
        others=(),
        problems=problems,
        label_kind=LabelKind.BOXES,
        named_in="data.yaml",
    )
    allowed = Allowed(drop=drop, accept=accept)
    names = {sample.name: sample.name for sample in samples}
    lint = lint_boxes(listing, {}, allowed)
    return examine(lint.listing, names, {}, policy=policy, seed=0, allowed=allowed, lint=lint)


def refusal(result: Audit) -> tuple[list[str], str]:
    """Return the lines of the report without the first, and the remedy."""
    with pytest.raises(DataError, match="cannot be used as they are") as caught:
        result.refuse_if_wrong("images")
    return [line.strip() for line in caught.value.message.splitlines()[1:]], caught.value.remedy


BOTH = ["gear", "nut"]


@pytest.mark.parametrize("accept", [frozenset(), ALL], ids=["nothing accepted", "all accepted"])
@pytest.mark.parametrize(
    ("classes_by_split", "lines", "remedy"),
    [
        pytest.param(
            {"train": [[], []], "val": [BOTH], "test": [BOTH]},
            ["1 x split without any box:", "train (2 images)"],
            "label the images of train, or move some with boxes there",
            id="train",
        ),
        pytest.param(
            {"train": [BOTH], "val": [BOTH], "test": [["nut*"]]},
            ["1 x split without any box:", "test (1 image)"],
            "label the images of test, or move some with boxes there",
            id="test with a crowd",
        ),
        pytest.param(
            {"train": [BOTH], "val": [[]]},
            ["2 x split without any box:", "val (1 image)", "test (0 images)"],
            "label the images of val, test, or move some with boxes there",
            id="val and test",
        ),
        pytest.param(
            {"train": [[]], "val": [[]], "test": [[]]},
            ["3 x split without any box:", "train (1 image)", "val (1 image)", "test (1 image)"],
            "label the objects in the images: none of them has a box",
            id="all",
        ),
    ],
)
def test_split_without_any_box_is_refused_even_if_all_is_accepted(
    classes_by_split: Mapping[str, list[list[str]]],
    accept: frozenset[Accept],
    lines: list[str],
    remedy: str,
) -> None:
    assert refusal(audit(classes_by_split, accept=accept)) == (lines, remedy)


def test_too_few_images_with_boxes_to_split_are_refused() -> None:
    result = audit({"all": [BOTH, [], [], [], []]}, policy=FLAT, accept=ALL)
    lines, remedy = refusal(result)
    assert lines == ["2 x split without any box:", "val (1 image)", "test (1 image)"]
    assert remedy == "label more images: too few have boxes for every split to get some"


def test_validation_without_images_needs_no_boxes() -> None:
    audit({"train": [BOTH], "test": [BOTH]}, accept=ALL).refuse_if_wrong("images")


def test_class_missing_from_a_split_is_accepted_if_another_split_has_it() -> None:
    classes_by_split = {"train": [BOTH], "val": [["nut"]], "test": [["nut"]]}
    lines, remedy = refusal(audit(classes_by_split, classes=("gear", "nut", "pin")))
    assert lines == [
        "1 x class without boxes:",
        "pin",
        "1 x class that a split lacks:",
        "gear (1 image): none in val, test",
    ]
    assert remedy == (
        "drop them with `data: {drop: [empty-classes]}`; if intended, write "
        "`data: {accept: [missing-classes]}`"
    )
    lines, remedy = refusal(audit(classes_by_split, classes=("gear", "nut", "pin"), accept=ALL))
    assert lines == ["1 x class without boxes:", "pin"]
    assert remedy == "drop them with `data: {drop: [empty-classes]}`"
    drop = frozenset({Drop.EMPTY_CLASSES})
    result = audit(classes_by_split, classes=("gear", "nut", "pin"), accept=ALL, drop=drop)
    result.refuse_if_wrong("images")
    assert result.classes == ("gear", "nut")


@pytest.mark.parametrize(
    ("classes", "lines"),
    [
        (("Gear", "gear", "nut"), ["1 x class names that differ only in case:", "Gear and gear"]),
        (
            ("gear\n", "gear", "nut"),
            ["1 x class name with characters that cannot be printed:", "'gear\\n'"],
        ),
        (
            ("\u00e4", "a\u0308", "nut"),
            [
                "1 x class names that look the same, with accents stored in two ways:",
                "\u00e4 and a\u0308",
            ],
        ),
    ],
)
def test_remedy_for_wrong_names_names_the_file(classes: tuple[str, ...], lines: list[str]) -> None:
    classes_by_split = {split.value: [list(classes)] for split in Split}
    expected = (lines, "fix the class names in data.yaml")
    assert refusal(audit(classes_by_split, classes=classes)) == expected


def test_remedy_for_wrong_labels_combines_the_fixes() -> None:
    classes_by_split = {split.value: [BOTH] for split in Split}
    problems = (
        LabelProblem("labels that fit several images", "a.txt: matches a.jpg and a.png"),
        LabelProblem("broken label line", "b.txt:1: has 1 column", Drop.BAD_LABELS, "train/0.jpg"),
        LabelProblem(
            "number without a name", "b.txt:2", Drop.BAD_LABELS, "train/0.jpg", "fix `names`"
        ),
    )
    lines, remedy = refusal(audit(classes_by_split, problems=problems))
    assert lines[::2] == [
        "1 x labels that fit several images:",
        "1 x broken label line:",
        "1 x number without a name:",
    ]
    assert remedy == (
        "fix `names`; drop them with `data: {drop: [bad-labels]}`; fix the labels, "
        "or exclude files with `data: {exclude: [...]}`"
    )


def test_boxes_lost_to_broken_labels_are_not_reported_twice() -> None:
    problem = LabelProblem(
        "broken label line", "b.txt:1: has 1 column", Drop.BAD_LABELS, "train/0.jpg"
    )
    lines, _ = refusal(audit({split.value: [[]] for split in Split}, problems=(problem,)))
    assert lines == ["1 x broken label line:", "b.txt:1: has 1 column"]
