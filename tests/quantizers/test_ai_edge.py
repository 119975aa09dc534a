from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgetl.config.calibration import Int8Table
from edgetl.quantizers import QUANTIZERS
from edgetl.runtime.engines import open_session
from edgetl.types import Precision

pytest.importorskip("ai_edge_quantizer", reason="edgetl[tflite] is not installed")

QUANTIZER = QUANTIZERS.load("ai_edge")
FloatFile = Callable[[str], Path]


@pytest.fixture(scope="module")
def int8_file(
    float_file: FloatFile, images: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("ai-edge")
    facts = QUANTIZER.quantize(
        float_file("tflite"), {"image": images}, Precision.INT8, Int8Table(), out
    )
    assert facts["float_operations"] == {}
    return out / "model.tflite"


def test_int8_input_is_the_pixel_minus_128_for_any_calibration_images(int8_file: Path) -> None:
    image = open_session("tflite", int8_file, 1).inputs[0]

    assert (image.name, image.dtype, image.scale, image.zero_point) == ("image", "int8", 1.0, -128)


def test_normalised_pixels_cover_black_to_white_for_any_calibration_images(int8_file: Path) -> None:
    # Red 0 is -0.5/0.2 = -2.5, green 255 is 0.6/0.2 = 3.
    expected = pytest.approx(5.5 / 255, rel=1e-4)

    assert [scale for scale, shape in scales(int8_file) if shape == (1, 16, 16, 3)][2] == expected


def test_w8a16_input_counts_pixels_in_128ths(
    float_file: FloatFile, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    QUANTIZER.quantize(
        float_file("tflite"), {"image": images}, Precision.W8A16, Int8Table(), tmp_path
    )

    image = open_session("tflite", tmp_path / "model.tflite", 1).inputs[0]
    assert (image.dtype, image.scale, image.zero_point) == ("int16", 1 / 128, 0)


def test_bias_of_a_dead_channel_is_kept(int8_file: Path) -> None:
    biases = [values for values in dequantized(int8_file) if len(values) == 8]

    # The first convolution has two dead channels.
    assert any(values[:2] == pytest.approx([2.5, 1.5], rel=1e-5) for values in biases)


def tensors(file: Path) -> tuple[Any, list[dict[str, Any]]]:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        str(file), experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    interpreter.allocate_tensors()
    return interpreter, interpreter.get_tensor_details()


def scales(file: Path) -> list[tuple[float, tuple[int, ...]]]:
    """Return scale and shape of every per-tensor quantized tensor, in file order."""
    _, details = tensors(file)
    return [
        (float(each["quantization_parameters"]["scales"][0]), tuple(each["shape"]))
        for each in details
        if len(each["quantization_parameters"]["scales"]) == 1
    ]


def dequantized(file: Path) -> list[NDArray[np.float64]]:
    """Return every int32 vector of a file as real numbers."""
    interpreter, details = tensors(file)
    return [
        interpreter.get_tensor(each["index"]) * each["quantization_parameters"]["scales"]
        for each in details
        if each["dtype"] is np.int32
        and len(each["shape"]) == 1
        and len(each["quantization_parameters"]["scales"])
    ]
