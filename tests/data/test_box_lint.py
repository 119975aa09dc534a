from __future__ import annotations

import re
from dataclasses import replace

import pytest

from edgetl.config.recipe import Accept, Drop, Repair
from edgetl.data.box_lint import BoxLint, lint_boxes
from edgetl.data.findings import Allowed, refuse
from edgetl.data.sources import Box, LabelProblem, Listing, Sample
from edgetl.errors import DataError
from edgetl.types import LabelKind

NO_AREA = "box without area:\n    a.xml, object 2: nut at 5 5 5 9 of 64 x 48"
REPEATED = "box that repeats another:\n    a.xml, object 2 = a.xml, object 1: nut at 10 10 50 40"
GOOD = (10.0, 10.0, 50.0, 40.0)
Corners = tuple[float, float, float, float]


def sample(*corners: Corners, name: str = "a.jpg") -> Sample:
    boxes = [Box("nut", corner, f"a.xml, object {k}") for k, corner in enumerate(corners, start=1)]
    return Sample(name, "", None, tuple(boxes))


def lint(
    *samples: Sample, problems: tuple[LabelProblem, ...] = (), size: tuple[int, int] = (48, 64),
    **allowed: frozenset[str],
) -> BoxLint:  # fmt: skip
    listing = Listing(
        samples, ("nut",), frozenset(), (), (), problems=problems, label_kind=LabelKind.BOXES
    )
    sizes = {one.name: size for one in samples}
    return lint_boxes(listing, sizes, Allowed(**allowed))  # type: ignore[arg-type]  # one key each


def boxes(result: BoxLint) -> list[Corners]:
    return [box.corners for one in result.listing.samples for box in one.boxes]


def test_valid_boxes_become_pixels_and_are_kept() -> None:
    relative = replace(sample((0.25, 0.5, 0.75, 1.0)), relative=True)
    result = lint(sample(GOOD, (0.0, 0.0, 64.0, 48.0), name="b.jpg"), relative)
    assert boxes(result) == [GOOD, (0.0, 0.0, 64.0, 48.0), (16.0, 24.0, 48.0, 48.0)]
    assert (result.findings, result.dropped, result.repaired) == ((), (), {})


@pytest.mark.parametrize(
    ("corners", "what", "remedy"),
    [
        ((5, 5, 5, 9), NO_AREA, "drop: [bad-boxes]"),
        ((9, 5, 5, 9), "box without area:", "drop: [bad-boxes]"),
        ((9, 5, 9.005, 9), "box without area:", "drop: [bad-boxes]"),
        ((64, 5, 70, 9), "box outside of its image:", "drop: [bad-boxes]"),
        ((-9, 5, 0, 9), "box outside of its image:", "drop: [bad-boxes]"),
        ((60, 5, 65.5, 9), "box that reaches beyond its image:", "repair: [clip-boxes]"),
        ((5, -1.5, 20, 9), "box that reaches beyond its image:", "repair: [clip-boxes]"),
        (GOOD, REPEATED, "drop: [repeated-boxes]"),
    ],
)  # fmt: skip
def test_wrong_box_is_refused_by_name(corners: Corners, what: str, remedy: str) -> None:
    result = lint(sample(GOOD, corners))
    with pytest.raises(DataError, match=re.escape(f"1 x {what}")) as caught:
        refuse(result.findings, "images")
    assert f"`data: {{{remedy}}}`" in caught.value.remedy


@pytest.mark.parametrize(
    ("corners", "drop", "name"),
    [
        ((5, 5, 5, 9), Drop.BAD_BOXES, "a.xml, object 2"),
        ((64, 5, 70, 9), Drop.BAD_BOXES, "a.xml, object 2"),
        (GOOD, Drop.REPEATED_BOXES, "a.xml, object 2"),
    ],
)
def test_wrong_box_is_dropped_on_request(corners: Corners, drop: Drop, name: str) -> None:
    result = lint(sample(GOOD, corners), drop=frozenset({drop}))
    assert boxes(result) == [GOOD]
    assert [(one.name, one.kind) for one in result.dropped] == [(name, drop)]
    assert result.findings == ()


def test_image_that_loses_its_last_box_is_dropped_too() -> None:
    result = lint(sample((5, 5, 5, 9)), sample(GOOD, name="b.jpg"), drop=frozenset({"bad-boxes"}))
    assert [one.name for one in result.listing.samples] == ["b.jpg"]
    assert [(one.name, one.reason) for one in result.dropped] == [
        ("a.xml, object 1", "box without area"),
        ("a.jpg", "lost its last box"),
    ]


def test_boxes_are_clipped_on_request_and_counted() -> None:
    result = lint(sample((60, -8, 80, 9), GOOD), repair=frozenset({Repair.CLIP_BOXES}))
    assert boxes(result) == [(60, 0, 64, 9), GOOD]
    assert result.repaired == {"clip-boxes": ("a.xml, object 1",)}


def test_excess_of_one_pixel_is_clipped_and_counted_as_rounding() -> None:
    result = lint(sample((60, 5, 65, 9), (5, 5, 9, 48.005)))
    assert boxes(result) == [(60, 5, 64, 9), (5, 5, 9, 48)]
    assert result.findings == ()
    assert result.repaired == {"rounding": ("a.xml, object 1",)}


@pytest.mark.parametrize(
    ("stated", "what", "remedy"),
    [
        ((96, 128), "labels for 128 x 96, the image is 64 x 48", "repair: [scale-boxes]"),
        ((64, 48), "the image before its EXIF orientation is applied", "drop: [wrong-s"),
        ((100, 100), "labels for 100 x 100, the image is 64 x 48", "drop: [wrong-sizes]"),
    ],
)
def test_labels_for_another_size_are_refused(
    stated: tuple[int, int], what: str, remedy: str
) -> None:
    result = lint(replace(sample(GOOD), stated_size=stated))
    with pytest.raises(DataError, match=r"1 x image of another size than its labels say") as caught:
        refuse(result.findings, "images")
    assert what in caught.value.message
    assert remedy in caught.value.remedy
    assert ("scale-boxes" in caught.value.remedy) == (stated == (96, 128))


def test_labels_for_another_size_of_the_same_shape_are_scaled_on_request() -> None:
    result = lint(
        replace(sample((20, 20, 100, 80)), stated_size=(96, 128)),
        repair=frozenset({Repair.SCALE_BOXES}),
    )
    assert boxes(result) == [GOOD]
    assert result.repaired == {"scale-boxes": ("a.jpg",)}


def test_labels_for_another_shape_are_never_scaled_but_dropped_on_request() -> None:
    turned = replace(sample(GOOD), stated_size=(64, 48))
    assert len(lint(turned, repair=frozenset({Repair.SCALE_BOXES})).findings) == 1
    result = lint(turned, drop=frozenset({Drop.WRONG_SIZES}))
    assert [(one.name, one.kind.value) for one in result.dropped] == [("a.jpg", "wrong-sizes")]


def test_image_without_labels_is_refused_dropped_or_background() -> None:
    bare = Sample("b.jpg", "", None, labelled=False)
    with pytest.raises(DataError, match=r"1 x image without labels:\n    b\.jpg") as caught:
        refuse(lint(sample(GOOD), bare).findings, "images")
    assert caught.value.remedy == (
        "drop them with `data: {drop: [unlabelled]}`; "
        "if intended, write `data: {accept: [background]}`"
    )
    kept = lint(bare, accept=frozenset({Accept.BACKGROUND}))
    assert [one.name for one in kept.listing.samples] == ["b.jpg"]
    gone = lint(bare, drop=frozenset({Drop.UNLABELLED}))
    assert gone.listing.samples == ()
    assert gone.dropped[0].name == "b.jpg"


def test_image_with_empty_labels_is_background() -> None:
    result = lint(sample())
    assert result.findings == ()
    assert len(result.listing.samples) == 1


def test_image_with_broken_labels_is_dropped_on_request() -> None:
    problems = (
        LabelProblem("broken label line", "a.txt:3: has 4 columns", Drop.BAD_LABELS, "a.jpg"),
        LabelProblem("broken label line", "a.txt:4: has 4 columns", Drop.BAD_LABELS, "a.jpg"),
        LabelProblem("labels without an image", "c.txt", Drop.STRAY_LABELS),
    )
    with pytest.raises(DataError, match=r"2 x broken label line:\n    a.txt:3: has 4") as caught:
        refuse(lint(sample(GOOD), problems=problems).findings, "images")
    assert "1 x labels without an image:\n    c.txt" in caught.value.message
    assert caught.value.remedy == ("drop them with `data: {drop: [bad-labels, stray-labels]}`")
    result = lint(
        sample(GOOD), sample(GOOD, name="b.jpg"), problems=problems,
        drop=frozenset({Drop.BAD_LABELS, Drop.STRAY_LABELS}),
    )  # fmt: skip
    assert [one.name for one in result.listing.samples] == ["b.jpg"]
    assert [(one.name, one.kind.value) for one in result.dropped] == [
        ("c.txt", "stray-labels"),
        ("a.jpg", "bad-labels"),
    ]
