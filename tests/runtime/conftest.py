"""Two models whose outputs can be computed by hand.

The logits of the classifier are the mean of each colour, over 100. The detector has three fixed
boxes; two overlapping ones react to red, one to blue. Scores are shares of that colour's mean.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgetl.runtime import golden
from edgetl.runtime.contract import Contract, OutputSpec
from edgetl.runtime.detections import NmsSettings
from edgetl.runtime.inputs import ImageInput
from edgetl.runtime.model_files import ModelFile, describe_files
from edgetl.runtime.preprocess import Preprocess

SIZE = 32
CONTRACT = Contract(
    task="classification",
    labels=("red", "green", "blue"),
    format="onnx",
    files=(ModelFile("model.onnx", 1, "0" * 64),),
    precision="fp32",
    inputs=(ImageInput("image", "image", Preprocess(SIZE, SIZE, "letterbox", "bilinear", 0)),),
    outputs=(OutputSpec("logits", "logits", (1, 3), "logits"),),
)

DETECTOR = Contract(
    task="detection",
    labels=("rote Öse", "blue screw"),
    format="onnx",
    files=(ModelFile("model.onnx", 1, "0" * 64),),
    precision="fp32",
    inputs=(
        ImageInput(
            "image", "image", Preprocess(SIZE, SIZE, "letterbox", "bilinear", 0, "top-left")
        ),
    ),
    outputs=(
        OutputSpec("boxes", "boxes", (1, 3, 4), "boxes"),
        OutputSpec("scores", "scores", (1, 3, 2), "scores"),
    ),
    nms=NmsSettings(0.3, 0.5, 10, "class-aware"),
)
BOXES = np.array(
    [[[0.25, 0.25, 0.5, 0.5], [0.25, 0.25, 0.5, 0.53125], [0.5, 0.0, 1.0, 0.5]]], np.float32
)


@pytest.fixture
def contract() -> Contract:
    return CONTRACT


@pytest.fixture
def detector_contract() -> Contract:
    return DETECTOR


@pytest.fixture
def state_files() -> Callable[[Path, Contract], None]:
    """Return a function that writes a contract as it suits the model in a folder."""
    return state


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """Contract, model and golden samples: one image, and two inputs of one colour each."""
    folder = tmp_path / "model"
    folder.mkdir()
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Mul", ["mean", "share"], ["logits"]),
    ]
    share = numpy_helper.from_array(np.array([0.01], np.float32), "share")
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, SIZE, SIZE, 3])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 3])
    graph = helper.make_graph(nodes, "colours", [image], [logits], [share])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "model.onnx")
    state(folder, CONTRACT)
    pixels = np.stack([coloured(200, 100, 50), coloured(0, 50, 250)])
    reference = np.array([[2.0, 1.0, 0.5], [0.0, 0.5, 2.5]], np.float32)
    golden.record(folder, {"image": pixels}, {"logits": reference}, [coloured(10, 20, 30)[:20]])
    return folder


@pytest.fixture
def detector_folder(tmp_path: Path) -> Path:
    """Contract, model and golden samples of the detector: one image, and two inputs."""
    folder = tmp_path / "detector"
    folder.mkdir()
    # From the means of red, green and blue to the scores of two classes at three boxes, over 255.
    shares = np.zeros((3, 3, 2), np.float32)
    shares[0, 0, 0], shares[0, 1, 0], shares[2, 2, 1] = 0.8, 1.0, 1.0
    constants = [
        numpy_helper.from_array((shares / 255).reshape(3, 6), "shares"),
        numpy_helper.from_array(np.array([1, 3, 2], np.int64), "shape"),
        numpy_helper.from_array(BOXES, "fixed"),
    ]
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["mean", "shares"], ["flat"]),
        helper.make_node("Reshape", ["flat", "shape"], ["scores"]),
        helper.make_node("Identity", ["fixed"], ["boxes"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, SIZE, SIZE, 3])
    predictions = [
        helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [1, 3, 4]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 3, 2]),
    ]
    graph = helper.make_graph(nodes, "objects", [image], predictions, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "model.onnx")
    state(folder, DETECTOR)
    pixels = np.stack([coloured(255, 0, 102), coloured(0, 0, 255)])
    reference = {
        "boxes": np.repeat(BOXES, 2, axis=0),
        "scores": np.array([[[0.8, 0], [1, 0], [0, 0.4]], [[0, 0], [0, 0], [0, 1]]], np.float32),
    }
    golden.record(folder, {"image": pixels}, reference, [coloured(10, 20, 30)[:20]])
    return folder


def state(folder: Path, contract: Contract) -> None:
    """Write `contract` with size and digest of the model that lies in `folder`."""
    files = describe_files(folder, [file.name for file in contract.files])
    dataclasses.replace(contract, files=files).save(folder)


def coloured(red: int, green: int, blue: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((SIZE, SIZE, 3), (red, green, blue), np.uint8)
