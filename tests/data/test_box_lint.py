from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from edgetl.config.recipe import Accept, Drop, Repair
from edgetl.data.box_lint import BoxLint, lint_boxes
from edgetl.data.findings import Allowed, refuse
from edgetl.data.listing import BoxForm
from edgetl.data.sources import Box, LabelProblem, Listing, Sample
from edgetl.errors import DataError
from edgetl.runtime.image_file import read_image
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
    orientations: Mapping[str, int] | None = None, form: BoxForm = BoxForm.CORNERS,
    **allowed: frozenset[str],
) -> BoxLint:  # fmt: skip
    listing = Listing(
        samples, ("nut",), frozenset(), (), (), problems=problems, label_kind=LabelKind.BOXES,
        form=form,
    )  # fmt: skip
    sizes = {one.name: size for one in samples}
    return lint_boxes(listing, sizes, Allowed(**allowed), orientations)  # type: ignore[arg-type]  # one key each


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
    ("stated", "orientation", "what", "remedy"),
    [
        ((96, 128), 1, "labels for 128 x 96, the image is 64 x 48", "repair: [scale-boxes]"),
        ((64, 48), 6, "the image before its EXIF orientation is applied", "drop: [wrong-s"),
        ((64, 48), 6, "the image before its EXIF orientation is applied", "repair: [turn-boxes]"),
        (
            (64, 48), 1,
            "width and height are exchanged, and no EXIF orientation explains it",
            "repair: [swap-sizes]",
        ),
        ((64, 48), 3, "width and height are exchanged, and no EXIF", "drop: [wrong-sizes]"),
        ((100, 100), 1, "labels for 100 x 100, the image is 64 x 48", "drop: [wrong-sizes]"),
    ],
)  # fmt: skip
def test_labels_for_another_size_are_refused(
    stated: tuple[int, int], orientation: int, what: str, remedy: str
) -> None:
    result = lint(replace(sample(GOOD), stated_size=stated), orientations={"a.jpg": orientation})
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


def test_exchanged_size_is_read_the_right_way_round_on_request() -> None:
    result = lint(
        replace(sample(GOOD), stated_size=(64, 48)), repair=frozenset({Repair.SWAP_SIZES})
    )
    assert boxes(result) == [GOOD]
    assert result.repaired == {"swap-sizes": ("a.jpg",)}


# A box at the top left of the stored pixels, 8 from the left and 2 from the top, of 16 x 4; where
# it is in the upright image of 64 x 48, drawn by hand for each orientation.
STORED = (8.0, 2.0, 24.0, 6.0)
UPRIGHT = {
    1: STORED,
    2: (40.0, 2.0, 56.0, 6.0),
    3: (40.0, 42.0, 56.0, 46.0),
    4: (8.0, 42.0, 24.0, 46.0),
    5: (2.0, 8.0, 6.0, 24.0),
    6: (58.0, 8.0, 62.0, 24.0),
    7: (58.0, 24.0, 62.0, 40.0),
    8: (2.0, 24.0, 6.0, 40.0),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("stated", [True, False], ids=["size stated", "fractions"])
def test_boxes_of_the_stored_pixels_are_turned_upright_on_request(
    orientation: int, *, stated: bool
) -> None:
    stored_size = (64, 48) if orientation >= 5 else (48, 64)
    one = replace(sample(STORED), stated_size=stored_size)
    if not stated:
        down, across = stored_size
        fractions = (8 / across, 2 / down, 24 / across, 6 / down)
        one = replace(sample(fractions), relative=True)
    result = lint(one, orientations={"a.jpg": orientation}, repair=frozenset({Repair.TURN_BOXES}))
    assert boxes(result)[0] == pytest.approx(UPRIGHT[orientation])
    assert result.findings == ()
    turns = {} if orientation == 1 else {"turn-boxes": ("a.xml, object 1",)}
    assert result.repaired == turns


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_orientations_turn_pixels_as_pillow_does(orientation: int) -> None:
    stored_size = (64, 48) if orientation >= 5 else (48, 64)
    left, top, right, bottom = map(int, STORED)
    pixels = np.zeros(stored_size, np.uint8)
    pixels[top:bottom, left:right] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", exif=exif)
    stream.seek(0)
    rows, columns = np.nonzero(read_image(stream)[:, :, 0])
    box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert box == UPRIGHT[orientation]


def test_labels_of_the_upright_image_are_not_turned() -> None:
    result = lint(
        replace(sample(GOOD), stated_size=(48, 64)),
        orientations={"a.jpg": 6},
        repair=frozenset({Repair.TURN_BOXES}),
    )
    assert boxes(result) == [GOOD]
    assert result.repaired == {}


def with_form(form: BoxForm, numbers: Corners, name: str) -> Sample:
    """Return an image with one label, its four numbers read by a format."""
    a, b, c, d = numbers
    read = {
        BoxForm.CENTRE: (a - c / 2, b - d / 2, a + c / 2, b + d / 2),
        BoxForm.ORIGIN: (a, b, a + c, b + d),
        BoxForm.CORNERS: numbers,
    }
    return sample(read[form], name=name)


IN_CORNERS: tuple[Corners, ...] = ((30, 20, 60, 44), (2, 2, 10, 10), (20, 30, 64, 48))


@pytest.mark.parametrize("form", [BoxForm.CENTRE, BoxForm.ORIGIN])
def test_corners_in_place_of_a_centre_are_recognised_and_read_on_request(form: BoxForm) -> None:
    samples = [with_form(form, box, f"{k}.jpg") for k, box in enumerate(IN_CORNERS)]
    with pytest.raises(DataError, match="3 x box whose numbers look like corners") as caught:
        refuse(lint(*samples, form=form).findings, "images")
    assert "    a.xml, object 1: 30 20 60 44" in caught.value.message
    assert caught.value.remedy == "repair them with `data: {repair: [corner-boxes]}`"

    result = lint(*samples, form=form, repair=frozenset({Repair.CORNERS}))
    assert boxes(result) == [pytest.approx(box) for box in IN_CORNERS]
    assert result.repaired == {"corner-boxes": ("a.xml, object 1",) * 3}


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param([(30, 20, 10, 10), (2, 2, 2, 2), (60, 40, 60, 44)], id="one label is wrong"),
        pytest.param([(30, 20, 60, 44), (20, 30, 64, 48)], id="too few to tell"),
        pytest.param([(20, 20, 30, 30), (10, 10, 16, 16), (30, 20, 40, 22)], id="all inside"),
    ],
)
def test_centres_and_sizes_are_not_taken_for_corners(numbers: list[Corners]) -> None:
    samples = [with_form(BoxForm.CENTRE, box, f"{k}.jpg") for k, box in enumerate(numbers)]
    findings = lint(*samples, form=BoxForm.CENTRE).findings
    assert all(finding.repair is not Repair.CORNERS for finding in findings)


@pytest.mark.parametrize(
    ("needs", "title"),
    [
        (Repair.OUTLINES, "outline in place of a box"),
        (Repair.PIXELS, "box in pixels in place of fractions of the image"),
    ],
)
def test_what_is_a_box_only_after_a_repair_is_refused_repaired_or_dropped(
    needs: Repair, title: str
) -> None:
    # A pixel box keeps its numbers where the others are fractions.
    corners = GOOD if needs is Repair.PIXELS else (10 / 64, 10 / 48, 50 / 64, 40 / 48)
    bad = replace(sample(corners), relative=True)
    bad = replace(bad, boxes=(replace(bad.boxes[0], needs=needs),))
    good = replace(sample((0.25, 0.5, 0.75, 1.0), name="b.jpg"), relative=True)
    with pytest.raises(DataError, match=f"1 x {title}:\n    a.xml, object 1: nut") as caught:
        refuse(lint(bad, good).findings, "images")
    assert f"repair them with `data: {{repair: [{needs}]}}`" in caught.value.remedy
    assert "drop them with `data: {drop: [bad-labels]}`" in caught.value.remedy

    result = lint(bad, good, repair=frozenset({needs}))
    assert boxes(result) == [pytest.approx(GOOD), (16.0, 24.0, 48.0, 48.0)]
    assert result.repaired == {str(needs): ("a.xml, object 1",)}

    dropped = lint(bad, good, drop=frozenset({Drop.BAD_LABELS}))
    assert [one.name for one in dropped.listing.samples] == ["b.jpg"]
    assert [(one.name, one.reason) for one in dropped.dropped] == [
        ("a.jpg", f"a.xml, object 1: {title}")
    ]


def test_dropping_is_not_offered_where_it_removes_most_of_the_data() -> None:
    samples = [sample((5, 5, 5, 9), name=f"{k}.jpg") for k in range(4)]
    with pytest.raises(DataError, match="4 x box without area") as caught:
        refuse(lint(*samples).findings, "images")
    assert caught.value.remedy == (
        "fix the labels, or exclude files with `data: {exclude: [...]}`; "
        "`drop: [bad-boxes]` would remove 100% of the data"
    )
    kept = [sample(GOOD, name=f"kept {k}.jpg") for k in range(5)]
    with pytest.raises(DataError, match="4 x box without area") as caught:
        refuse(lint(*samples, *kept).findings, "images")
    assert caught.value.remedy == "drop them with `data: {drop: [bad-boxes]}`"


def test_advice_on_labels_is_given_where_they_are_too_many_to_be_dropped() -> None:
    samples = [sample(GOOD, name=f"{k}.jpg") for k in range(10)]

    def remedy(count: int) -> str:
        problems = tuple(
            LabelProblem("broken", f"{k}.txt", Drop.BAD_LABELS, f"{k}.jpg", advice="write points")
            for k in range(count)
        )
        with pytest.raises(DataError, match=f"{count} x broken") as caught:
            refuse(lint(*samples, problems=problems).findings, "images")
        return caught.value.remedy

    assert remedy(5) == "drop them with `data: {drop: [bad-labels]}`"
    assert remedy(6) == "write points; `drop: [bad-labels]` would remove 60% of the data"


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


FRACTIONS = ((0.1, 0.2, 0.5, 0.6), (0.0, 0.0, 1.0, 1.0), (0.25, 0.5, 0.75, 1.0))


def test_fractions_in_place_of_pixels_are_refused_until_they_are_repaired() -> None:
    result = lint(sample(*FRACTIONS))
    with pytest.raises(
        DataError, match="3 x box in fractions of the image in place of pixels:"
    ) as caught:
        refuse(result.findings, "images")
    assert caught.value.remedy == "repair them with `data: {repair: [fraction-boxes]}`"
    result = lint(sample(*FRACTIONS), repair=frozenset({Repair.FRACTIONS}))
    assert result.findings == ()
    # of an image of 64 x 48
    expected = [(6.4, 9.6, 32.0, 28.8), (0.0, 0.0, 64.0, 48.0), (16.0, 24.0, 48.0, 48.0)]
    assert [pytest.approx(corners) for corners in expected] == boxes(result)
    assert [*result.repaired] == ["fraction-boxes"]
    assert len(result.repaired["fraction-boxes"]) == 3


@pytest.mark.parametrize(
    "corners",
    [[*FRACTIONS, (3.0, 4.0, 9.0, 9.0)], list(FRACTIONS[:2])],
    ids=["one in pixels", "too few"],
)
def test_boxes_are_in_pixels_unless_all_of_several_are_below_one(corners: list[Corners]) -> None:
    assert lint(sample(*corners)).findings == ()


def test_nothing_is_said_of_boxes_whose_image_has_another_size() -> None:
    turned = replace(sample((50.0, 2.0, 62.0, 40.0)), stated_size=(48, 64))
    result = lint(turned, size=(64, 48), orientations={"a.jpg": 6})
    assert [finding.title for finding in result.findings] == [
        "image of another size than its labels say"
    ]
