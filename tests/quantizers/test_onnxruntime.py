from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from edgetl.config.calibration import Int8Table
from edgetl.exporters import EXPORTERS
from edgetl.nn.layers import RawPixels
from edgetl.quantizers import QUANTIZERS
from edgetl.types import Precision

onnx = pytest.importorskip("onnx", reason="edgetl[onnx] is not installed")

QUANTIZER = QUANTIZERS.load("onnxruntime")
FloatFile = Callable[[str], Path]


def initializers(file: Path) -> dict[str, NDArray[np.generic]]:
    graph = onnx.load(file).graph
    return {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}


def first_quantizer(file: Path) -> tuple[float, int]:
    """Return scale and zero point of the first convolution's input."""
    values = initializers(file)
    node = next(node for node in onnx.load(file).graph.node if node.op_type == "QuantizeLinear")
    return float(values[node.input[1]]), int(values[node.input[2]])


# Normalised by the network: red 0 is -0.5/0.2 = -2.5, green 255 is 0.6/0.2 = 3.
@pytest.mark.parametrize(("precision", "steps"), [(Precision.INT8, 255), (Precision.W8A16, 65535)])
def test_first_quantizer_covers_black_to_white_for_any_calibration_images(
    precision: Precision,
    steps: int,
    float_file: FloatFile,
    images: NDArray[np.uint8],
    tmp_path: Path,
) -> None:
    QUANTIZER.quantize(float_file("onnx"), {"image": images}, precision, Int8Table(), tmp_path)

    scale, zero_point = first_quantizer(tmp_path / "model.onnx")
    assert scale == pytest.approx(5.5 / steps)
    assert zero_point == round(2.5 / 5.5 * steps)


# 16-bit activations came with opset 21, for which format 10 is the oldest.
@pytest.mark.parametrize(
    ("precision", "versions"),
    [
        (Precision.FP16, (8, {"": 18})),
        (Precision.INT8, (8, {"": 18})),
        (Precision.W8A16, (10, {"": 21})),
    ],
)
def test_file_states_the_lowest_versions_that_it_needs(
    precision: Precision,
    versions: tuple[int, dict[str, int]],
    float_file: FloatFile,
    images: NDArray[np.uint8],
    tmp_path: Path,
) -> None:
    QUANTIZER.quantize(float_file("onnx"), {"image": images}, precision, Int8Table(), tmp_path)
    model = onnx.load(tmp_path / "model.onnx")
    imports = {each.domain: each.version for each in model.opset_import}
    assert (model.ir_version, imports) == versions
    # The float file that it was made from, too.
    assert onnx.load(float_file("onnx")).ir_version == 8


def test_int8_reports_the_operations_that_stay_in_float(
    float_file: FloatFile, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    facts = QUANTIZER.quantize(
        float_file("onnx"), {"image": images}, Precision.INT8, Int8Table(), tmp_path
    )

    assert facts["float_operations"] == {"HardSigmoid": 1, "Mul": 1, "ReduceMean": 1, "Sub": 1}


def test_fp16_halves_matrices_and_keeps_vectors(float_file: FloatFile, tmp_path: Path) -> None:
    none = np.empty((0, 16, 16, 3), np.uint8)
    QUANTIZER.quantize(float_file("onnx"), {"image": none}, Precision.FP16, Int8Table(), tmp_path)

    dtypes = {
        str(values.dtype)
        for values in initializers(tmp_path / "model.onnx").values()
        if values.ndim > 1 and max(values.shape) > 3
    }
    kept = {
        str(values.dtype)
        for name, values in initializers(tmp_path / "model.onnx").items()
        if name.endswith("bias")
    }
    assert dtypes == {"float16"}
    assert kept == {"float32"}


def test_fp16_keeps_the_constants_of_a_row_of_pixels(tmp_path: Path) -> None:
    (tmp_path / "half").mkdir()
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 14 * 14, 2))
    module = RawPixels(network, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), row=16).eval()
    EXPORTERS.load("onnx").export(
        module, {"image": torch.zeros(1, 16, 16, 3)}, ("logits",), tmp_path
    )
    none = np.empty((0, 16, 16, 3), np.uint8)
    QUANTIZER.quantize(
        tmp_path / "model.onnx", {"image": none}, Precision.FP16, Int8Table(), tmp_path / "half"
    )

    tensors = initializers(tmp_path / "half" / "model.onnx").values()
    assert [str(values.dtype) for values in tensors if values.shape == (16, 3)] == ["float32"] * 2


def test_weight_too_large_for_fp16_is_refused_by_name(
    float_file: FloatFile, tmp_path: Path
) -> None:
    from edgetl.errors import EdgetlError

    model = onnx.load(float_file("onnx"))
    weight = next(each for each in model.graph.initializer if len(each.dims) == 4)
    values = onnx.numpy_helper.to_array(weight) + np.float32(70_000)
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    onnx.save(model, tmp_path / "model.onnx")
    out = tmp_path / "out"
    out.mkdir()

    with pytest.raises(
        EdgetlError, match=r"could not convert model.onnx to fp16.*fp16 maximum is 65504"
    ):
        QUANTIZER.quantize(
            tmp_path / "model.onnx",
            {"image": np.empty((0, 16, 16, 3), np.uint8)},
            Precision.FP16,
            Int8Table(),
            out,
        )
