"""Frames of cameras: uint8 arrays ``(h, w, 3)``, or an error with the conversion to write.

Nothing is converted here: an array does not show the order of its channels, and grey levels look
like the planes of YUV 4:2:0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from typing import Literal

    from numpy.typing import NDArray

    Order = Literal["rgb", "bgr"]

ORDERS = ("rgb", "bgr")

_NUM_CHANNELS = 3
_MAX_LEVEL = 255
_TAKES = "predict_array takes uint8 (h, w, 3)"


def check_frame(image: object, order: str) -> None:
    """See that `image` is a uint8 array ``(h, w, 3)`` and that there is such an `order`.

    Raises:
        TypeError: If `image` is no array.
        ValueError: If it has another shape or dtype, or no pixels, or `order` is unknown.
    """
    if order not in ORDERS:
        raise ValueError(f"unknown order '{order}'; known: {', '.join(ORDERS)}")
    if not isinstance(image, np.ndarray):
        raise TypeError(_not_an_array(image))
    if image.ndim == 3 and image.shape[2] == 3 and image.size and image.dtype == np.uint8:  # noqa: PLR2004
        return
    given = f"image is {image.dtype} {image.shape}"
    if not image.size:
        raise ValueError(f"{given}, without pixels; {_TAKES}")
    shaped, shape_note = _shape_conversion(image.shape, order)
    is_uint8 = image.dtype == np.uint8
    converted, dtype_note = (shaped, "") if is_uint8 else _dtype_conversion(image, shaped)
    if not shaped or not converted:
        raise ValueError(f"{given}{shape_note or dtype_note}; {_TAKES}")
    argument = "" if order == "rgb" else f', order="{order}"'
    call = f"predict_array({converted}{argument})"
    raise ValueError(f"{given}; {_TAKES}, so write {call}{shape_note}{dtype_note}")


def _not_an_array(image: object) -> str:
    if image is None:
        return "image is None: the camera gave no frame; check what its read function returns"
    if isinstance(image, (str, bytes)):
        return f"image is {image!r}; for a file write predict(image)"
    kind = f"{type(image).__module__}.{type(image).__name__}"
    pixels = 'image.convert("RGB")' if hasattr(image, "convert") else "image"
    return f"image is of type {kind}, so write predict_array(np.asarray({pixels}))"


def _shape_conversion(shape: tuple[int, ...], order: str) -> tuple[str, str]:
    """Return the expression that brings an array of `shape` to ``(h, w, 3)``, and a note on it.

    The expression is empty if there is none.
    """
    code = f"cv2.COLOR_YUV2{order.upper()}_"
    if len(shape) == 4 and 3 in (shape[3], shape[1]):  # noqa: PLR2004 - a batch
        planes = "" if shape[3] == _NUM_CHANNELS else ".transpose(1, 2, 0)"
        others = "" if shape[0] == 1 else ", and each of the others in its own call"
        return f"image[0]{planes}", others
    if len(shape) == 2:  # noqa: PLR2004 - rows and columns
        return "np.stack([image] * 3, axis=2)", f" for grey levels{_planar_yuv(*shape, code)}"
    if len(shape) != 3:  # noqa: PLR2004
        return "", ", which is no image"
    last = {
        1: ("np.repeat(image, 3, axis=2)", " for grey levels"),
        2: (f"cv2.cvtColor(image, {code}YUYV)", f" for YUYV, or with {code}UYVY for UYVY"),
        3: ("image", ""),
        4: ("image[:, :, :3]", "" if order == "bgr" else ' for RGBA, or with order="bgr" for BGRA'),
    }
    first = {
        1: ("np.repeat(image.transpose(1, 2, 0), 3, axis=2)", " for grey levels"),
        3: ("image.transpose(1, 2, 0)", ""),
        4: ("image[:3].transpose(1, 2, 0)", ""),
    }
    unknown = ("", f", whose {shape[2]} channels are not RGB")
    return last.get(shape[2]) or first.get(shape[0], unknown)


def _planar_yuv(rows: int, columns: int, code: str) -> str:
    """Return what to write if the rows are those of YUV 4:2:0; empty if they cannot be."""
    height = rows * 2 // 3
    if rows % 3 or height % 2 or columns % 2:
        return ""
    return (
        f"; or cv2.cvtColor(image, {code}I420) for YUV 4:2:0 of {height} x {columns} pixels "
        f"({code}NV12 or {code}NV21 where U and V alternate)"
    )


def _dtype_conversion(image: NDArray[Any], expression: str) -> tuple[str, str]:
    """Return `expression` as uint8, judged by the values of `image`, and a note on it."""
    kind = image.dtype.kind
    if kind == "b":
        return f"{expression}.astype(np.uint8) * 255", ""
    if image.dtype == np.uint16:
        notes = " for 16 bits, or with >> 4 for 12 and >> 2 for 10"
        return f"({expression} >> 8).astype(np.uint8)", notes
    if kind not in "fiu":
        return "", ", which are no pixels"
    low, high = image.min(), image.max()
    if not (low >= 0 and high <= _MAX_LEVEL):
        return "", f" with values from {low:.6g} to {high:.6g}, not levels from 0 to {_MAX_LEVEL}"
    if kind == "f":
        levels = f"({expression} * 255)" if high <= 1 else expression
        return f"{levels}.round().astype(np.uint8)", ""
    return f"{expression}.astype(np.uint8)", ""
