"""Files as others make them: any layout, type and rank, several outputs, open sizes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from edgetl.errors import ConfigError
from edgetl.graph_lint import lint
from edgetl.graph_lint.findings import Finding

onnx = pytest.importorskip("onnx", reason="edgetl[onnx] is not installed")

FLOAT, UINT8 = 1, 2
Shape = list[int | str]


def model(
    folder: Path,
    nodes: list[object],
    outputs: dict[str, Shape],
    shape: Shape,
    *,
    dtype: int = FLOAT,
    constants: Mapping[str, object] | None = None,
    more_inputs: tuple[str, ...] = (),
) -> Path:
    helper = onnx.helper
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("picture", dtype, shape)]
        + [helper.make_tensor_value_info(name, FLOAT, [1]) for name in more_inputs],
        [helper.make_tensor_value_info(name, FLOAT, size) for name, size in outputs.items()],
        [onnx.numpy_helper.from_array(np.asarray(v), n) for n, v in (constants or {}).items()],
    )
    found = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(found)
    file = folder / "model.onnx"
    onnx.save(found, file)
    return file


def node(kind: str, inputs: str, output: str, **fields: object) -> object:
    return onnx.helper.make_node(kind, inputs.split(), [output], name=output, **fields)


def concats(file: Path, pixels: str = "0..255") -> list[Finding]:
    return [each for each in lint(file, pixels=pixels) if each.what.startswith("Concat ")]


SCALES = {"large": np.float32(100), "small": np.float32(0.01)}


@pytest.mark.parametrize(
    "shape",
    [[1, 3, 8, 8], [1, 8, 8, 3], ["batch", 3, 8, 8], ["n", 3, "h", "w"], [1, 1, 8, 8]],
    ids=["channels first", "channels last", "open batch", "open sides", "grey"],
)
def test_every_layout_of_a_picture_is_fed(tmp_path: Path, shape: Shape) -> None:
    nodes = [node("Mul", "picture large", "a"), node("Concat", "a picture", "both", axis=-1)]
    file = model(tmp_path, nodes, {"both": ["a", "b", "c", "d"]}, shape, constants=SCALES)

    found = concats(file)[0]

    assert (found.what, found.place) == ("Concat 'both'", "output")
    assert found.ratio == pytest.approx(100)


def test_integer_input_gets_all_that_it_holds(tmp_path: Path) -> None:
    nodes = [
        node("Cast", "picture", "a", to=FLOAT),
        node("Mul", "a small", "b"),
        node("Concat", "a b", "both", axis=1),
    ]
    file = model(
        tmp_path, nodes, {"both": [1, 6, 8, 8]}, [1, 3, 8, 8], dtype=UINT8, constants=SCALES
    )

    found = concats(file, "0..1")[0]

    assert found.parts[0].highest > 200
    assert found.parts[1].highest < 2.56


def test_pixels_of_a_float_input_are_what_the_user_says(tmp_path: Path) -> None:
    nodes = [node("Mul", "picture large", "a"), node("Concat", "a picture", "both", axis=1)]
    file = model(tmp_path, nodes, {"both": [1, 6, 8, 8]}, [1, 3, 8, 8], constants=SCALES)

    by_pixels = {pixels: concats(file, pixels)[0].parts[1] for pixels in ("0..1", "-1..1")}

    assert 0 <= by_pixels["0..1"].lowest < by_pixels["0..1"].highest <= 1
    assert -1 <= by_pixels["-1..1"].lowest < -0.2


def test_join_inside_the_network_is_told_apart_and_comes_last(tmp_path: Path) -> None:
    nodes = [
        node("Mul", "picture large", "a"),
        node("Concat", "a picture", "inner", axis=1),
        node("Relu", "inner", "changed"),
        node("Mul", "changed small", "b"),
        node("Concat", "b changed", "outer", axis=1),
        node("Transpose", "outer", "moved", perm=[0, 2, 3, 1]),
    ]
    file = model(tmp_path, nodes, {"moved": [1, 8, 8, 12]}, [1, 3, 8, 8], constants=SCALES)

    assert [(found.what, found.place) for found in concats(file)] == [
        ("Concat 'outer'", "output"),
        ("Concat 'inner'", "inside"),
    ]


def test_output_joined_by_any_operation_is_found_by_its_columns(tmp_path: Path) -> None:
    # No Concat: a product with (100, 100, 0.01) per channel.
    scales = {"scales": np.array([100, 100, 0.01], np.float32)}
    nodes = [node("Mul", "picture scales", "found")]
    file = model(tmp_path, nodes, {"found": [1, 8, 8, 3]}, [1, 8, 8, 3], constants=scales)

    (found,) = lint(file)

    assert found.what == "output 'found', axis 3"
    assert [part.name for part in found.parts] == ["columns 0 to 1", "column 2"]
    assert found.ratio > 1000


@pytest.mark.parametrize(
    ("scales", "why"),
    [([15.9, 1, 1], "below the limit"), ([1 / 256, 1e-4, 1e-4], "probabilities")],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_output_of_one_unit_is_clean(tmp_path: Path, scales: list[float], why: str) -> None:
    del why
    nodes = [node("Mul", "grey scales", "found")]
    nodes.insert(0, node("ReduceMax", "picture", "grey", keepdims=1))
    constants = {"scales": np.array(scales, np.float32)}
    file = model(tmp_path, nodes, {"found": [1, 1, 1, 3]}, [1, 8, 8, 3], constants=constants)

    assert lint(file) == []


def test_shapes_that_are_joined_are_no_finding(tmp_path: Path) -> None:
    constants = {"one": np.array([1]), "rest": np.array([192])}
    nodes = [
        node("Concat", "one rest", "shape", axis=0),
        node("Reshape", "picture shape", "flat"),
    ]
    file = model(tmp_path, nodes, {"flat": [1, 192]}, [1, 3, 8, 8], constants=constants)

    assert lint(file) == []


def test_model_without_a_picture_is_refused(tmp_path: Path) -> None:
    file = model(tmp_path, [node("Relu", "picture", "out")], {"out": [1, 10]}, [1, 10])

    with pytest.raises(ConfigError, match=r"input 'picture' has shape \(1, 10\); one picture is"):
        lint(file)


def test_model_with_two_inputs_is_refused(tmp_path: Path) -> None:
    nodes = [node("Add", "picture other", "out")]
    file = model(tmp_path, nodes, {"out": [1, 3, 8, 8]}, [1, 3, 8, 8], more_inputs=("other",))

    with pytest.raises(ConfigError, match=r"has 2 inputs \('picture', 'other'\)"):
        lint(file)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.onnx", b"\xff\xff nothing", "cannot be read as ONNX: .+"),
        ("a.onnx", b"", "cannot be read as ONNX: it has no operation"),
        ("a.tflite", b"nothing at all", "cannot be run by LiteRT: .+"),
        ("a.pt", b"", r"is no model file; it must end with \.onnx or \.tflite"),
        ("a.onnx", None, "no such file"),
    ],
)
def test_file_that_is_no_model_is_refused(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if name.endswith("tflite"):
        pytest.importorskip("ai_edge_litert", reason="edgetl[tflite] is not installed")
    if content is not None:
        (tmp_path / name).write_bytes(content)

    with pytest.raises(ConfigError, match=message):
        lint(tmp_path / name)


def test_operation_that_the_engine_does_not_know_is_refused(tmp_path: Path) -> None:
    file = model(tmp_path, [node("Relu", "picture", "out")], {"out": [1, 3, 8, 8]}, [1, 3, 8, 8])
    found = onnx.load(file)
    found.graph.node[0].op_type = "Sharpen"
    onnx.save(found, file)

    with pytest.raises(ConfigError, match=r"cannot be run by ONNX Runtime: .*Sharpen"):
        lint(file)


def test_open_side_that_the_network_cannot_take_is_refused(tmp_path: Path) -> None:
    # 3 x 320 x 320 values do not make rows of seven.
    constants = {"shape": np.array([-1, 7])}
    nodes = [node("Reshape", "picture shape", "out")]
    file = model(tmp_path, nodes, {"out": ["a", 7]}, [1, 3, "h", "w"], constants=constants)

    with pytest.raises(ConfigError, match=r"cannot be run by ONNX Runtime: .*[Rr]eshape"):
        lint(file)
