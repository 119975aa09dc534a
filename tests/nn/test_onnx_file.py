"""Written ONNX files state the lowest versions that have what they use."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from edgetl.nn.onnx_file import write_onnx


def _imports(**versions: int) -> list[onnx.OperatorSetIdProto]:
    return [
        helper.make_opsetid({"default": "", "ml": "ai.onnx.ml"}.get(name, name), version)
        for name, version in versions.items()
    ]


def _model(
    nodes: list[onnx.NodeProto], imports: list[onnx.OperatorSetIdProto], ir_version: int = 12
) -> onnx.ModelProto:
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])
    graph = helper.make_graph(nodes, "graph", [given], [result])
    return helper.make_model(graph, opset_imports=imports, ir_version=ir_version)


def _versions(file: Path) -> tuple[int, dict[str, int]]:
    model = onnx.load(file)
    return model.ir_version, {each.domain: each.version for each in model.opset_import}


@pytest.mark.parametrize(
    ("opset", "ir_version"), [(13, 8), (18, 8), (19, 9), (21, 10), (23, 11)], ids=str
)
def test_format_is_the_oldest_that_has_the_operators(
    tmp_path: Path, opset: int, ir_version: int
) -> None:
    relu = helper.make_node("Relu", ["x"], ["y"])
    write_onnx(_model([relu], _imports(default=opset)), tmp_path / "a.onnx")
    assert _versions(tmp_path / "a.onnx") == (ir_version, {"": opset})


def test_format_that_is_too_old_for_the_operators_is_raised(tmp_path: Path) -> None:
    # As quantizers leave it that need a newer opset than the float file has.
    relu = helper.make_node("Relu", ["x"], ["y"])
    write_onnx(_model([relu], _imports(default=21), ir_version=8), tmp_path / "a.onnx")
    assert _versions(tmp_path / "a.onnx") == (10, {"": 21})


def test_unused_operator_sets_are_dropped(tmp_path: Path) -> None:
    relu = helper.make_node("Relu", ["x"], ["y"])
    imports = _imports(default=18, ml=5, acme=1)
    write_onnx(_model([relu], imports), tmp_path / "a.onnx")
    assert _versions(tmp_path / "a.onnx") == (8, {"": 18})


def test_operator_set_of_a_node_is_kept(tmp_path: Path) -> None:
    scale = helper.make_node("Scaler", ["x"], ["y"], domain="ai.onnx.ml", offset=[0.0], scale=[1.0])
    write_onnx(_model([scale], _imports(default=18, ml=3, acme=1)), tmp_path / "a.onnx")
    assert _versions(tmp_path / "a.onnx") == (8, {"": 18, "ai.onnx.ml": 3})


def test_operator_set_of_a_node_in_a_branch_is_kept(tmp_path: Path) -> None:
    def branch(name: str) -> onnx.GraphProto:
        node = helper.make_node(
            "Scaler", ["x"], [name], domain="ai.onnx.ml", offset=[0.0], scale=[1.0]
        )
        result = helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2])
        return helper.make_graph([node], name, [], [result])

    condition = helper.make_node(
        "Constant", [], ["c"], value=helper.make_tensor("c", TensorProto.BOOL, [], [True])
    )
    choice = helper.make_node("If", ["c"], ["y"], then_branch=branch("a"), else_branch=branch("b"))
    write_onnx(_model([condition, choice], _imports(default=18, ml=3)), tmp_path / "a.onnx")
    assert _versions(tmp_path / "a.onnx") == (8, {"": 18, "ai.onnx.ml": 3})


def test_operator_sets_of_a_function_are_kept(tmp_path: Path) -> None:
    inner = helper.make_node("Scaler", ["a"], ["b"], domain="ai.onnx.ml", offset=[0.0], scale=[1.0])
    function = helper.make_function(
        "acme", "Same", ["a"], ["b"], [inner], _imports(default=18, ml=3)
    )
    call = helper.make_node("Same", ["x"], ["y"], domain="acme")
    model = _model([call], _imports(default=18, ml=3, acme=1))
    model.functions.append(function)
    write_onnx(model, tmp_path / "a.onnx")
    assert _versions(tmp_path / "a.onnx") == (8, {"": 18, "ai.onnx.ml": 3, "acme": 1})


def test_model_that_is_not_valid_is_not_written(tmp_path: Path) -> None:
    unknown = helper.make_node("NoSuchOperator", ["x"], ["y"])
    with pytest.raises(onnx.checker.ValidationError, match="NoSuchOperator"):
        write_onnx(_model([unknown], _imports(default=18)), tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()
