from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgetl.runtime.preprocess import ANCHORS, FITS, Placement, Preprocess, fit_image, place

_SIZES = [(60, 60), (45, 97), (97, 45), (48, 200), (200, 48), (331, 333), (700, 500)]


@pytest.mark.parametrize("anchor", ANCHORS)
@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", _SIZES, ids=str)
def test_a_drawn_rectangle_is_where_the_placement_says(
    size: tuple[int, int], fit: str, anchor: str
) -> None:
    # Bicubic would overshoot and area cannot enlarge by parts; the geometry is one.
    preprocess = Preprocess(64, 96, fit, "bilinear", 0, anchor)
    height, width = size
    box = np.array(
        [[width * 45 // 100, height * 45 // 100, width * 53 // 100, height * 58 // 100]], np.float32
    )
    left, top, right, bottom = box[0].astype(int).tolist()
    image = np.zeros((height, width, 3), np.uint8)
    image[top:bottom, left:right] = 255
    expected = place(height, width, preprocess).to_input(box)[0]
    bright = fit_image(image, preprocess)[..., 0] / 255.0
    x, y = (bright.sum(axis=axis) for axis in (0, 1))
    assert _middle(x) == pytest.approx((expected[0] + expected[2]) / 2, abs=0.05)
    assert _middle(y) == pytest.approx((expected[1] + expected[3]) / 2, abs=0.05)
    area = (expected[2] - expected[0]) * (expected[3] - expected[1])
    assert bright.sum() == pytest.approx(area, rel=0.02)


def _middle(line: NDArray[np.float64]) -> float:
    """Return where the centre of gravity of `line` is; pixel 0 reaches from 0 to 1."""
    return float((line * (np.arange(len(line)) + 0.5)).sum() / line.sum())


@given(
    size=st.tuples(st.integers(1, 4000), st.integers(1, 4000)),
    fit=st.sampled_from(FITS),
    anchor=st.sampled_from(ANCHORS),
)
def test_there_and_back_is_the_same_box(size: tuple[int, int], fit: str, anchor: str) -> None:
    height, width = size
    placement = place(height, width, Preprocess(416, 320, fit, "area", 0, anchor))
    boxes = np.array([[0, 0, width, height], [width / 4, 0, width / 2, height / 3]], np.float32)
    back = placement.to_image(placement.to_input(boxes))
    assert back == pytest.approx(boxes, abs=1e-3 * max(size) / 10)


@given(size=st.tuples(st.integers(1, 4000), st.integers(1, 4000)), anchor=st.sampled_from(ANCHORS))
def test_a_letterboxed_image_fills_whole_pixels_and_touches_two_borders(
    size: tuple[int, int], anchor: str
) -> None:
    height, width = size
    placement = place(height, width, Preprocess(64, 96, "letterbox", "area", 0, anchor))
    image = np.array([[0, 0, width, height]], np.float32)
    (left, top, right, bottom) = placement.to_input(image)[0].tolist()
    assert [left, top, right, bottom] == pytest.approx(
        [round(left), round(top), round(right), round(bottom)], abs=1e-3
    )
    assert right - left == pytest.approx(96) or bottom - top == pytest.approx(64)
    if anchor == "top-left":
        assert (left, top) == (0, 0)


def test_a_letterbox_at_the_top_left_leaves_the_border_below() -> None:
    image = np.full((2, 4, 3), 200, np.uint8)
    fitted = fit_image(image, Preprocess(8, 8, "letterbox", "bilinear", 9, "top-left"))
    assert fitted[:4].tolist() == [[[200] * 3] * 8] * 4
    assert fitted[4:].tolist() == [[[9] * 3] * 8] * 4


def test_a_stretched_image_has_two_scales() -> None:
    placement = place(50, 200, Preprocess(100, 100, "stretch", "area", 0))
    assert placement == Placement(scale_x=0.5, scale_y=2.0, left=0.0, top=0.0)


def test_a_cropped_image_begins_left_of_the_input() -> None:
    # The middle 50 of 200 columns, doubled: column 75 is the input's first.
    placement = place(50, 200, Preprocess(100, 100, "crop", "area", 0))
    assert placement == Placement(scale_x=2.0, scale_y=2.0, left=-150.0, top=0.0)


def test_a_image_without_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="an image of 0 x 5 has no pixels"):
        place(0, 5, Preprocess(8, 8, "crop", "area", 0))


def test_an_unknown_anchor_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown anchor 'left'; known: centre, top-left"):
        Preprocess(8, 8, "letterbox", "area", 0, "left")
