"""From pixels to what a model's input tensor holds, from its output tensors to real numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

import numpy as np

from edgetl.runtime.engines import TensorInfo
from edgetl.runtime.errors import ContractError

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    Encoder = Callable[[NDArray[np.uint8]], NDArray[Any]]
    Decoder = Callable[[NDArray[Any]], NDArray[np.float32]]

_FLOATS = ("float32", "float16")
_INTEGERS = ("int8", "int16")
_REMEDY = "export the model with edgetl: raw RGB pixels in, shape (1, H, W, 3)"


def check_input(info: TensorInfo) -> None:
    """Raise ContractError unless `info` is ``(1, H, W, 3)`` of a type that can hold pixels."""
    if len(info.shape) != 4 or info.shape[0] != 1 or info.shape[3] != 3:  # noqa: PLR2004 - NHWC
        raise ContractError(
            f"the model's input '{info.name}' has shape {info.shape}, not (1, H, W, 3)",
            remedy=_REMEDY,
        )
    if info.dtype in _INTEGERS and info.scale is None:
        raise ContractError(
            f"the model's input '{info.name}' is {info.dtype} but states no scale", remedy=_REMEDY
        )
    known = (*_FLOATS, *_INTEGERS, "uint8")
    if info.dtype not in known:
        raise ContractError(
            f"the model's input '{info.name}' is {info.dtype}; known: {', '.join(known)}",
            remedy=_REMEDY,
        )


def encoder(info: TensorInfo) -> Encoder:
    """Return the function that turns uint8 pixels into the input tensor of a model.

    A float input takes pixels as they are. So does a uint8 one, whatever scale it states: there the
    scale is that of the normalised values that the pixels stand for. Any other integer input is
    quantised by its scale and zero point, rounding half to even; with 256 possible pixels that is a
    table, and the usual ``pixel - 128`` is a flipped bit.

    Raises:
        ContractError: If the input is not ``(1, H, W, 3)``, or of a type that cannot hold pixels.
    """
    check_input(info)
    if info.dtype == "uint8":
        return _same
    if info.dtype in _FLOATS:
        dtype = np.dtype(info.dtype)
        return lambda pixels: pixels.astype(dtype)
    table = _table(info)
    if info.dtype == "int8" and np.array_equal(table, np.arange(-128, 128)):
        return _minus_128
    return lambda pixels: table[pixels]


def decoder(info: TensorInfo) -> Decoder:
    """Return the function that turns an output tensor into real numbers, float32.

    Where the file states a scale that is ``scale * (q - zero_point)``.
    """
    if info.scale is None:
        return lambda values: values.astype(np.float32, copy=False)
    scale, zero_point = np.float32(info.scale), np.int32(info.zero_point or 0)
    return lambda values: scale * (values.astype(np.int32) - zero_point).astype(np.float32)


def _table(info: TensorInfo) -> NDArray[Any]:
    limits = np.iinfo(info.dtype)
    scaled = np.arange(256, dtype=np.float32) / np.float32(info.scale or 1.0)
    steps = np.rint(scaled) + (info.zero_point or 0)
    table: NDArray[Any] = np.clip(steps, limits.min, limits.max).astype(info.dtype)
    return table


def _same(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return pixels


def _minus_128(pixels: NDArray[np.uint8]) -> NDArray[np.int8]:
    return np.bitwise_xor(pixels, np.uint8(128)).view(np.int8)
