from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from edgetl.exporters import EXPORTERS
from edgetl.exporters._onnx_layout import planes_first
from edgetl.nn.layers import RawPixels

SIZE = 8
COLOURS = np.array([0.5, 0.25, 0.125], np.float32)


def graph_of(
    *nodes: onnx.NodeProto, output: str, shape: list[int], shared: bool = False
) -> onnx.ModelProto:
    """Return a model of the image alone; with `shared`, the image is an answer, too."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, SIZE, SIZE, 3])
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)]
    if shared:
        outputs.append(
            helper.make_tensor_value_info("shifted", TensorProto.FLOAT, [1, SIZE, SIZE, 3])
        )
    constants = [
        numpy_helper.from_array(COLOURS, "mean"),
        numpy_helper.from_array(np.array(2.0, np.float32), "factor"),
    ]
    graph = helper.make_graph(list(nodes), "graph", [image], outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


SHIFT = helper.make_node("Sub", ["image", "mean"], ["shifted"])
PLANES = helper.make_node("Transpose", ["shifted"], ["planes"], perm=[0, 3, 1, 2])
PLANES_SHAPE = [1, 3, SIZE, SIZE]


def kinds(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def answer(model: onnx.ModelProto) -> NDArray[np.float32]:
    pixels = np.random.default_rng(0).integers(0, 256, (1, SIZE, SIZE, 3)).astype(np.float32)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    found: NDArray[np.float32] = session.run(None, {"image": pixels})[0]
    return found


def test_exported_network_begins_with_its_planes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 6 * 6, 2))
    module = RawPixels(network, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)).eval()
    EXPORTERS.load("onnx").export(module, torch.zeros(1, SIZE, SIZE, 3), ("logits",), tmp_path)
    model = onnx.load(tmp_path / "model.onnx")
    assert kinds(model)[:4] == ["Transpose", "Sub", "Mul", "Conv"]
    assert model.graph.node[0].input[0] == "image"


def test_answers_keep_every_bit() -> None:
    scale = helper.make_node("Mul", ["mean", "shifted"], ["scaled"])
    planes = helper.make_node("Transpose", ["scaled"], ["planes"], perm=[0, 3, 1, 2])
    model = graph_of(SHIFT, scale, planes, output="planes", shape=PLANES_SHAPE)
    before = answer(model)
    planes_first(model.graph)
    assert kinds(model) == ["Transpose", "Sub", "Mul"]
    # One constant serves twice, and nobody reads it in its old shape.
    assert {tensor.name for tensor in model.graph.initializer} == {"factor", "mean.planes"}
    np.testing.assert_array_equal(answer(model), before)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(
            graph_of(
                helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
                output="planes",
                shape=PLANES_SHAPE,
            ),
            id="no arithmetic",
        ),
        pytest.param(
            graph_of(
                SHIFT,
                helper.make_node("Transpose", ["shifted"], ["turned"], perm=[0, 2, 1, 3]),
                output="turned",
                shape=[1, SIZE, SIZE, 3],
            ),
            id="another transposition",
        ),
        pytest.param(
            graph_of(
                helper.make_node("Mul", ["image", "factor"], ["shifted"]),
                PLANES,
                output="planes",
                shape=PLANES_SHAPE,
            ),
            id="one constant for all colours",
        ),
        pytest.param(
            graph_of(SHIFT, PLANES, output="planes", shape=PLANES_SHAPE, shared=True),
            id="an answer in between",
        ),
        pytest.param(graph_of(SHIFT, output="shifted", shape=[1, SIZE, SIZE, 3]), id="no planes"),
    ],
)
def test_graph_that_begins_in_another_way_stays(model: onnx.ModelProto) -> None:
    before = model.SerializeToString()
    planes_first(model.graph)
    assert model.SerializeToString() == before
