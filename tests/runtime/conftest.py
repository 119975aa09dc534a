"""A model whose answers can be computed by hand: logits are the mean of each colour, over 100."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgetl.runtime import golden
from edgetl.runtime.contract import Contract, InputSpec, OutputSpec
from edgetl.runtime.preprocess import Preprocess

SIZE = 32
CONTRACT = Contract(
    task="classification",
    labels=("red", "green", "blue"),
    format="onnx",
    file="model.onnx",
    precision="fp32",
    input=InputSpec("image", SIZE, SIZE),
    preprocess=Preprocess(SIZE, SIZE, "letterbox", "bilinear", 0),
    outputs=(OutputSpec("logits", "logits", (1, 3)),),
)


@pytest.fixture
def contract() -> Contract:
    return CONTRACT


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """Contract, model and golden samples: one photo, and two inputs of one colour each."""
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
    CONTRACT.save(folder)
    pixels = np.stack([coloured(200, 100, 50), coloured(0, 50, 250)])
    reference = np.array([[2.0, 1.0, 0.5], [0.0, 0.5, 2.5]], np.float32)
    golden.record(folder, pixels, {"logits": reference}, [coloured(10, 20, 30)[:20]])
    return folder


def coloured(red: int, green: int, blue: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((SIZE, SIZE, 3), (red, green, blue), np.uint8)
