from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgetl.config.calibration import Int8Table
from edgetl.quantizers import QUANTIZERS
from edgetl.types import Precision

openvino = pytest.importorskip("openvino", reason="edgetl[openvino] is not installed")

QUANTIZER = QUANTIZERS.load("nncf")
FloatFile = Callable[[str], Path]


def fake_quantizers(file: Path) -> list[Any]:
    model = openvino.Core().read_model(file)
    return [node for node in model.get_ordered_ops() if node.get_type_name() == "FakeQuantize"]


@pytest.fixture(scope="module")
def int8_file(
    float_file: FloatFile,
    images: NDArray[np.uint8],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    out = tmp_path_factory.mktemp("nncf")
    facts = QUANTIZER.quantize(
        float_file("openvino"), {"image": images}, Precision.INT8, Int8Table(), out
    )
    assert facts["float_operations"] == {}
    return out / "model.xml"


def test_first_quantizer_covers_black_to_white_for_any_calibration_images(int8_file: Path) -> None:
    first = fake_quantizers(int8_file)[0]
    lowest, highest = (float(first.input_value(i).get_node().data.ravel()[0]) for i in (1, 2))

    # Normalised: red 0 is -0.5/0.2 = -2.5, blue 255 is 0.7/0.25 = 2.8, green 255 is 0.6/0.2 = 3.
    assert lowest <= -2.5
    assert highest >= 3.0
    assert highest - lowest == pytest.approx(5.5, abs=5.5 / 255)


def test_zero_is_a_step_of_the_first_quantizer(int8_file: Path) -> None:
    first = fake_quantizers(int8_file)[0]
    lowest, highest = (float(first.input_value(i).get_node().data.ravel()[0]) for i in (1, 2))

    steps_below_zero = -lowest / ((highest - lowest) / 255)
    assert steps_below_zero == pytest.approx(round(steps_below_zero), abs=1e-4)


def test_no_activation_has_a_range_per_channel(int8_file: Path) -> None:
    sizes = {
        quantizer.input_value(1).get_node().data.size for quantizer in fake_quantizers(int8_file)
    }

    assert sizes == {1}


def test_fp16_stores_weights_in_half_precision(float_file: FloatFile, tmp_path: Path) -> None:
    none = np.empty((0, 16, 16, 3), np.uint8)
    QUANTIZER.quantize(
        float_file("openvino"), {"image": none}, Precision.FP16, Int8Table(), tmp_path
    )

    model = openvino.Core().read_model(tmp_path / "model.xml")
    halves = [node for node in model.get_ops() if node.get_element_type() == openvino.Type.f16]
    assert halves
    assert model.inputs[0].get_element_type() == openvino.Type.f32
