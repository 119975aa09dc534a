"""Convert arrays to input tensors, and output tensors to real numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

import numpy as np

from edgetl.runtime.engines import TensorInfo
from edgetl.runtime.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray

    Encoder = Callable[[NDArray[Any]], NDArray[Any]]
    Decoder = Callable[[NDArray[Any]], NDArray[np.float32]]

_FLOATS = ("float32", "float16")
_INTEGERS = ("int8", "int16")
_TOKENS = ("int32", "int64")
_REMEDY = "export the model with edgetl: images are raw RGB pixels of shape (1, H, W, 3)"

_CHANNELS_FIRST = (
    "its channels come first: export it again around a module that takes raw RGB pixels (1, H, W, "
    "3), scales them as in its training, and calls the model with `x.permute(0, 3, 1, 2)`"
)


def is_tokens(info: TensorInfo) -> bool:
    """Return whether `info` takes token ids; any other input takes pixels."""
    return info.dtype in _TOKENS


def check_input(info: TensorInfo) -> None:
    """Raise ContractError unless `info` takes token ids, or an image of a type for pixels."""
    if is_tokens(info):
        return
    known = (*_FLOATS, *_INTEGERS, "uint8")
    if info.dtype not in known:
        raise ContractError(
            f"the model's input '{info.name}' is {info.dtype}; known: "
            f"{', '.join((*known, *_TOKENS))}",
            remedy=_REMEDY,
        )
    if len(info.shape) != 4 or info.shape[0] != 1 or info.shape[3] != 3:  # noqa: PLR2004 - NHWC
        raise ContractError(
            f"the model's input '{info.name}' has shape {info.shape}, not (1, H, W, 3)",
            remedy=_CHANNELS_FIRST if info.shape[1:2] == (3,) else _REMEDY,
        )
    if info.dtype in _INTEGERS and info.scale is None:
        raise ContractError(
            f"the model's input '{info.name}' is {info.dtype} but states no scale", remedy=_REMEDY
        )


def encoder(info: TensorInfo) -> Encoder:
    """Return the function that turns a given array into an input tensor of a model.

    Token ids, int32 or int64, pass through. Images are given as uint8: a float input takes the
    pixels unchanged. So does a uint8 input, whatever its scale, which is that of the normalised
    values that the pixels represent. Any other integer input is quantized with its scale and zero
    point, rounding half to even; with 256 possible pixels that is a table, and the usual
    ``pixel - 128`` is a flipped bit.

    Raises:
        ContractError: If the input takes neither; see `check_input`.
    """
    check_input(info)
    if is_tokens(info) or info.dtype == "uint8":
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

    If the file states a scale, that is ``scale * (q - zero_point)``.
    """
    if info.scale is None:
        return lambda values: values.astype(np.float32, copy=False)
    scale, zero_point = np.float32(info.scale), np.int32(info.zero_point or 0)
    return lambda values: scale * (values.astype(np.int32) - zero_point).astype(np.float32)


def check_arrays(inputs: Mapping[str, NDArray[Any]], infos: Sequence[TensorInfo]) -> None:
    """Raise ValueError unless `inputs` are one sample for all of `infos`, by name."""
    for info in infos:
        dtype = info.dtype if is_tokens(info) else "uint8"
        values = inputs.get(info.name)
        if values is None or values.dtype != dtype or values.shape != info.shape:
            given = "missing" if values is None else f"{values.dtype} {values.shape}"
            raise ValueError(f"input '{info.name}' is {given}; it takes {dtype} {info.shape}")
    if len(inputs) != len(infos):
        known = ", ".join(info.name for info in infos)
        raise ValueError(f"inputs are {', '.join(inputs)}; the model takes {known}")


def _table(info: TensorInfo) -> NDArray[Any]:
    limits = np.iinfo(info.dtype)
    scaled = np.arange(256, dtype=np.float32) / np.float32(info.scale or 1.0)
    steps = np.rint(scaled) + (info.zero_point or 0)
    table: NDArray[Any] = np.clip(steps, limits.min, limits.max).astype(info.dtype)
    return table


def _same(values: NDArray[Any]) -> NDArray[Any]:
    return values


def _minus_128(pixels: NDArray[np.uint8]) -> NDArray[np.int8]:
    return np.bitwise_xor(pixels, np.uint8(128)).view(np.int8)
