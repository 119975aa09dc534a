from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import ImageFont

from edgetl.runtime.detections import Detections
from edgetl.runtime.draw import (
    _colour,
    _contrast,
    _inside,
    draw_detections,
    draw_label,
    transliterate,
)
from edgetl.runtime.errors import EdgetlUsageError, PackageError

_GREY = 120


def _grey(height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), _GREY, np.uint8)


def _detections(boxes: Sequence[Sequence[float]], labels: Sequence[int]) -> Detections:
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.linspace(0.9, 0.1, len(boxes)).astype(np.float32),
        np.array(labels, np.int64),
    )


def _changed(canvas: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Return the box of all pixels that are not grey, xyxy."""
    rows, columns = np.nonzero((canvas != _GREY).any(axis=-1))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_frame_is_the_box_and_its_inside_is_unchanged() -> None:
    # The image is not high enough for a tag.
    canvas = draw_detections(_grey(11, 200), _detections([[20, 1, 90, 10]], [0]), ["a"])
    assert _changed(canvas) == (20, 1, 90, 10)
    assert (canvas[3:8, 24:86] == _GREY).all()


def test_input_image_is_not_modified() -> None:
    image = _grey(100, 100)
    draw_detections(image, _detections([[20, 20, 90, 90]], [0]), ["a"])
    draw_label(image, "a")
    assert (image == _GREY).all()


def test_image_without_detections_is_unchanged() -> None:
    assert (draw_detections(_grey(50, 50), _detections([], []), ["a"]) == _GREY).all()


def test_classes_have_colours_that_differ() -> None:
    canvas = draw_detections(
        _grey(300, 400), _detections([[10, 50, 100, 290], [200, 50, 390, 290]], [0, 1]), ["a", "b"]
    )
    for label, column in ((0, slice(10, 100)), (1, slice(200, 390))):
        assert (canvas[150, column] == _colour(label)).all(axis=-1).any()
    colours = np.array([_colour(label) for label in range(20)]).astype(int)
    apart = np.abs(colours[:, np.newaxis] - colours[np.newaxis]).sum(axis=-1)
    assert apart[~np.eye(20, dtype=bool)].min() >= 40


@pytest.mark.parametrize("label", range(30))
def test_text_contrasts_with_its_background(label: int) -> None:
    # Relative luminance and contrast as in WCAG 2, section 1.4.3, which requires 3 for large text.
    def luminance(colour: tuple[int, int, int]) -> float:
        shares = np.array(colour) / 255
        linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
        return float(linear @ (0.2126, 0.7152, 0.0722))

    one, two = sorted((luminance(_colour(label)), luminance(_contrast(_colour(label)))))
    assert (two + 0.05) / (one + 0.05) >= 3


@pytest.mark.parametrize(
    ("box", "region"),
    [
        pytest.param([100, 100, 200, 200], (slice(75, 100), slice(100, 160)), id="above"),
        pytest.param([100, 0, 200, 200], (slice(0, 25), slice(100, 160)), id="inside at the top"),
        pytest.param([270, 100, 300, 200], (slice(75, 100), slice(240, 300)), id="at the right"),
    ],
)
def test_tag_is_next_to_its_box_and_inside_the_image(
    box: list[float], region: tuple[slice, slice]
) -> None:
    canvas = draw_detections(_grey(300, 300), _detections([box], [0]), ["screw"])
    assert (canvas[region] == _colour(0)).all(axis=-1).mean() > 0.25


@pytest.mark.parametrize(
    ("place", "area"),
    [
        pytest.param((0, 0), (0, 0, 30, 10), id="corner"),
        pytest.param((-5, -1), (0, 0, 30, 10), id="above and left"),
        pytest.param((70, 40), (70, 40, 100, 50), id="last that fits"),
        pytest.param((71, 41), (70, 40, 100, 50), id="below and right"),
    ],
)
def test_tag_is_moved_into_the_image(place: tuple[int, int], area: tuple[int, ...]) -> None:
    assert _inside(*place, (30, 10), (100, 50)) == area


def test_text_stands_inside_its_tag_with_a_margin() -> None:
    canvas = draw_label(_grey(300, 300), "I")
    left, top, right, bottom = _changed(canvas)
    colour = canvas[top, left]
    rows, columns = np.nonzero((canvas[top:bottom, left:right] != colour).any(axis=-1))
    # Text of 12 pixels, a margin of 2: it stands at (2, 1), and an I takes rows 3 to 11 of it.
    assert (left, top) == (0, 0)
    assert (rows.min(), rows.max()) == (4, 12)
    assert columns.min() >= 2
    assert columns.max() < right - 2


def test_tags_of_close_boxes_do_not_overlap() -> None:
    boxes = [[100, 100, 200, 200], [104, 104, 200, 200]]
    one = draw_detections(_grey(300, 300), _detections(boxes[:1], [0]), ["screw"])
    tag_only = (one != _GREY).any(axis=-1)
    tag_only[100:] = False
    both = draw_detections(_grey(300, 300), _detections(boxes, [0, 1]), ["screw", "nut"])
    assert (both[tag_only] == one[tag_only]).all()
    assert (both == _colour(1)).all(axis=-1).sum() > 300


def test_crowded_image_has_frames_but_few_tags() -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 600, (500, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 60, (500, 2))], axis=1)
    canvas = draw_detections(_grey(640, 640), _detections(boxes.tolist(), [0] * 500), ["part"])
    # 500 tags of 60 x 20 would cover more than the whole image.
    assert 0.2 < (canvas == _GREY).all(axis=-1).mean() < 0.9


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    box=st.tuples(*[st.floats(-50, 150, width=32)] * 4),
    name=st.text(max_size=12),
)
def test_every_box_and_label_can_be_drawn(
    size: tuple[int, int], box: tuple[float, ...], name: str
) -> None:
    canvas = draw_detections(_grey(*size), _detections([box], [0]), [name])
    assert canvas.shape == (*size, 3)
    assert draw_label(_grey(*size), name).shape == (*size, 3)


@pytest.mark.parametrize("size", [(1, 4000), (4000, 1), (1, 1)], ids=str)
def test_image_one_pixel_wide_can_be_drawn_on(size: tuple[int, int]) -> None:
    canvas = draw_detections(
        _grey(*size), _detections([[0, 0, size[1], size[0]]], [3]), list("abcd")
    )
    assert (canvas != _GREY).any()


def test_lines_and_text_grow_with_the_image() -> None:
    heights = []
    for side in (300, 3000):
        canvas = draw_label(_grey(side, side), "screw 0.93")
        heights.append(_changed(canvas)[3])
    assert heights[1] > 4 * heights[0]


def test_label_of_two_lines_has_two() -> None:
    one, two = (_changed(draw_label(_grey(300, 300), text)) for text in ("a", "a\nb"))
    assert one[:2] == two[:2] == (0, 0)
    assert 1.5 < two[3] / one[3] < 2.5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rote Öse", "rote Oese"),
        ("Größe ÄÜäü", "Groesse AeUeaeue"),
        ("O\u0308se", "Oese"),
        ("Čapek naïve", "Capek naive"),
        ("½ ﬁn", "1?2 fin"),
        ("螺丝", "??"),
    ],
)
def test_letters_missing_from_the_font_are_transliterated(text: str, expected: str) -> None:
    assert transliterate(text) == expected


def test_pillow_without_text_support_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(size: float) -> None:
        del size
        raise ImportError("The _imagingft C module is not installed")

    monkeypatch.setattr(ImageFont, "load_default", refuse)
    with pytest.raises(
        EdgetlUsageError, match="this Pillow cannot draw text: The _imagingft"
    ) as caught:
        draw_label(_grey(9, 9), "a")
    assert caught.value.remedy == "pip install --upgrade pillow"


def test_pillow_without_a_font_of_any_size_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.__version__", "9.4.0")
    with pytest.raises(
        PackageError, match=r"^pillow 9\.4\.0 has no font that scales.*needs 10\.1 or newer\n"
    ) as caught:
        draw_label(_grey(40, 40), "a")
    assert caught.value.remedy == "pip install 'pillow>=10.1', or predict without --draw"
    monkeypatch.setattr("PIL.__version__", "10.1.0")
    draw_label(_grey(40, 40), "a")
