from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from edgetl.runtime.contract import Contract, OutputSpec
from edgetl.runtime.errors import BundleError, ContractError
from edgetl.runtime.predictor import Prediction, Predictor


def test_rows_are_answered_one_by_one(model_folder: Path) -> None:
    pixels = np.zeros((2, 32, 32, 3), np.uint8)
    pixels[1] = (100, 200, 255)
    found = Predictor.open(model_folder).run(pixels)
    assert found["logits"] == pytest.approx(np.array([[0, 0, 0], [1.0, 2.0, 2.55]]), abs=1e-6)
    assert found["logits"].dtype == np.float32


def test_no_rows_give_no_answers(model_folder: Path) -> None:
    found = Predictor.open(model_folder).run(np.zeros((0, 32, 32, 3), np.uint8))
    assert found["logits"].shape == (0, 3)


@pytest.mark.parametrize(
    "pixels",
    [
        pytest.param(np.zeros((1, 32, 16, 3), np.uint8), id="width"),
        pytest.param(np.zeros((32, 32, 3), np.uint8), id="no batch"),
        pytest.param(np.zeros((1, 32, 32, 3), np.float32), id="float"),
    ],
)
def test_other_pixels_are_refused(
    model_folder: Path, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> None:
    with pytest.raises(ValueError, match=r"the model takes uint8 \(N, 32, 32, 3\)"):
        Predictor.open(model_folder).run(pixels)


def test_photo_of_another_shape_is_fitted_and_named(model_folder: Path, tmp_path: Path) -> None:
    # Half of the square is the black border, so the mean of blue is 127.5.
    Image.new("RGB", (64, 32), (0, 0, 255)).save(tmp_path / "blue.png")
    prediction = Predictor.open(model_folder).predict(tmp_path / "blue.png")
    assert prediction.label == "blue"
    assert prediction.index == 2
    # exp(0) + exp(0) + exp(1.275) = 5.578700
    assert prediction.probabilities == pytest.approx([0.179253, 0.179253, 0.641493], abs=1e-5)


def test_top_is_likeliest_first() -> None:
    assert Prediction("b", 1, (0.2, 0.5, 0.3)).top(2) == [1, 2]


def test_contract_of_another_file_is_refused(model_folder: Path, contract: Contract) -> None:
    other = OutputSpec("logits", "scores", (1, 3))
    dataclasses.replace(contract, outputs=(other,)).save(model_folder)
    with pytest.raises(ContractError, match=r"has the outputs .*, but its contract says 'scores'"):
        Predictor.open(model_folder)


def test_contract_of_another_size_is_refused(model_folder: Path, contract: Contract) -> None:
    dataclasses.replace(
        contract,
        input=dataclasses.replace(contract.input, height=64),
        preprocess=dataclasses.replace(contract.preprocess, height=64),
    ).save(model_folder)
    with pytest.raises(ContractError, match=r"takes \(1, 32, 32, 3\), but its contract says"):
        Predictor.open(model_folder)


def test_unknown_format_is_refused(model_folder: Path, contract: Contract) -> None:
    dataclasses.replace(contract, format="ncnn").save(model_folder)
    with pytest.raises(ContractError, match="no engine for format 'ncnn'; known: onnx, openvino"):
        Predictor.open(model_folder)


def test_missing_model_file_is_named(model_folder: Path) -> None:
    (model_folder / "model.onnx").unlink()
    with pytest.raises(BundleError, match=r"model\.onnx is missing"):
        Predictor.open(model_folder)


def test_answer_that_is_no_number_is_refused(model_folder: Path) -> None:
    model = onnx.load(model_folder / "model.onnx")
    share = onnx.numpy_helper.from_array(np.array([np.nan], np.float32), "share")
    model.graph.initializer[0].CopyFrom(share)
    onnx.save(model, model_folder / "model.onnx")
    with pytest.raises(BundleError, match="answers with values that are no numbers"):
        Predictor.open(model_folder).classify(np.zeros((32, 32, 3), np.uint8))
