"""Arrays that `predict_array` refuses: the conversion in the message gives the right pixels."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edgetl.runtime.frames import check_frame

_RGB: NDArray[np.uint8] = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
_GREY: NDArray[np.uint8] = np.random.default_rng(1).integers(0, 256, (5, 6), np.uint8)
_GREY_RGB = np.dstack([_GREY, _GREY, _GREY])


@pytest.mark.parametrize(
    ("image", "expected", "notes"),
    [
        pytest.param(
            np.dstack([_RGB, np.full((4, 6), 7, np.uint8)]),
            _RGB,
            ' for RGBA, or with order="bgr" for BGRA',
            id="4 channels",
        ),
        pytest.param(_GREY, _GREY_RGB, " for grey levels", id="grey"),
        pytest.param(_GREY[:, :, None], _GREY_RGB, " for grey levels", id="1 channel"),
        pytest.param(_GREY[None], _GREY_RGB, " for grey levels", id="1 plane"),
        pytest.param(_RGB.transpose(2, 0, 1), _RGB, "", id="planes first"),
        pytest.param(
            np.concatenate([_RGB.transpose(2, 0, 1), np.zeros((1, 4, 6), np.uint8)]),
            _RGB,
            "",
            id="4 planes first",
        ),
        pytest.param(_RGB[None], _RGB, "", id="batch"),
        pytest.param(_RGB.transpose(2, 0, 1)[None], _RGB, "", id="batch, planes first"),
        pytest.param(
            np.stack([_RGB, _RGB[::-1]]),
            _RGB,
            ", and each of the others in its own call",
            id="batch of two",
        ),
        pytest.param((_RGB / 255).astype(np.float32), _RGB, "", id="float to 1"),
        pytest.param(_RGB.astype(np.float64), _RGB, "", id="float to 255"),
        pytest.param(
            (_RGB.transpose(2, 0, 1) / 255).astype(np.float16), _RGB, "", id="float planes first"
        ),
        pytest.param(_RGB.astype(np.int64), _RGB, "", id="int64"),
        pytest.param(
            _RGB.astype(np.uint16) << 8 | 99,
            _RGB,
            " for 16 bits, or with >> 4 for 12 and >> 2 for 10",
            id="16 bits",
        ),
        pytest.param(_RGB > 99, np.where(_RGB > 99, 255, 0), "", id="bool"),
    ],
)
def test_conversion_in_the_message_gives_the_pixels(
    image: NDArray[Any], expected: NDArray[Any], notes: str
) -> None:
    with pytest.raises(ValueError, match=r"so write predict_array\(") as caught:
        check_frame(image, "rgb")
    start, expression, rest = re.fullmatch(
        r"(.*), so write predict_array\((.*)\)(| for .*|, and .*)", str(caught.value)
    ).groups()  # type: ignore[union-attr] # it matches, or the test fails
    assert start == f"image is {image.dtype} {image.shape}; predict_array takes uint8 (h, w, 3)"
    assert rest == notes
    converted = eval(expression, {"np": np, "image": image})  # noqa: S307 - our own message
    check_frame(converted, "rgb")
    assert np.array_equal(converted, expected)


@pytest.mark.parametrize(
    ("shape", "conversion"),
    [
        ((1, 4, 6, 3), "image[0]"),
        ((4, 6, 4), "image[:, :, :3]"),
        ((4, 6, 2), "cv2.cvtColor(image, cv2.COLOR_YUV2BGR_YUYV)"),
    ],
    ids=["batch", "BGRA", "YUYV"],
)
def test_order_is_part_of_the_conversion(shape: tuple[int, ...], conversion: str) -> None:
    message = f'so write predict_array({conversion}, order="bgr")'
    with pytest.raises(ValueError, match=f"{re.escape(message)}(?! for RGBA)"):
        check_frame(np.zeros(shape, np.uint8), "bgr")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        pytest.param(
            (480, 640, 2),
            "image is uint8 (480, 640, 2); predict_array takes uint8 (h, w, 3), so write "
            "predict_array(cv2.cvtColor(image, cv2.COLOR_YUV2RGB_YUYV)) for YUYV, or with "
            "cv2.COLOR_YUV2RGB_UYVY for UYVY",
            id="YUYV",
        ),
        pytest.param(
            (720, 640),
            "image is uint8 (720, 640); predict_array takes uint8 (h, w, 3), so write "
            "predict_array(np.stack([image] * 3, axis=2)) for grey levels; or "
            "cv2.cvtColor(image, cv2.COLOR_YUV2RGB_I420) for YUV 4:2:0 of 480 x 640 pixels "
            "(cv2.COLOR_YUV2RGB_NV12 or cv2.COLOR_YUV2RGB_NV21 where U and V alternate)",
            id="YUV 4:2:0",
        ),
        pytest.param(
            (9, 9, 7),
            "image is uint8 (9, 9, 7), whose 7 channels are not RGB; predict_array takes uint8 "
            "(h, w, 3)",
            id="7 channels",
        ),
        pytest.param(
            (9,), "image is uint8 (9,), which is no image; predict_array takes uint8", id="a row"
        ),
        pytest.param(
            (0, 9, 3),
            "image is uint8 (0, 9, 3), without pixels; predict_array takes uint8",
            id="empty",
        ),
    ],
)
def test_other_shapes_are_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        check_frame(np.zeros(shape, np.uint8), "rgb")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        pytest.param(
            np.array([[[-2.117904, 0, 2.64]]]),
            "image is float64 (1, 1, 3) with values from -2.1179 to 2.64, not levels from 0 to 255",
            id="normalised",
        ),
        pytest.param(
            np.array([[[0, 256, 2]]], np.int32),
            "image is int32 (1, 1, 3) with values from 0 to 256, not levels from 0 to 255",
            id="int32",
        ),
        pytest.param(
            np.full((1, 1, 3), np.nan), "with values from nan to nan, not levels", id="no numbers"
        ),
        pytest.param(
            np.full((1, 1, 3), "a"), "image is <U1 (1, 1, 3), which are no pixels", id="texts"
        ),
    ],
)
def test_values_that_are_no_levels_are_refused(image: NDArray[Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        check_frame(image, "rgb")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        pytest.param(None, "image is None: the camera gave no frame; check what its read", id="no"),
        pytest.param("a.png", "image is 'a.png'; for a file write predict(image)", id="path"),
        pytest.param(
            Image.new("L", (4, 4)),
            "image is of type PIL.Image.Image, so write "
            'predict_array(np.asarray(image.convert("RGB")))',
            id="Pillow",
        ),
        pytest.param(
            [[[0, 0, 0]]],
            "image is of type builtins.list, so write predict_array(np.asarray(image))",
            id="list",
        ),
    ],
)
def test_what_is_no_array_is_refused(image: object, message: str) -> None:
    with pytest.raises(TypeError, match=f"^{re.escape(message)}"):
        check_frame(image, "rgb")


def test_unknown_order_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^unknown order 'BGR'; known: rgb, bgr$"):
        check_frame(_RGB, "BGR")


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_pixels_in_any_memory_layout_are_taken(order: str) -> None:
    check_frame(_RGB[::-1, ::2], order)
