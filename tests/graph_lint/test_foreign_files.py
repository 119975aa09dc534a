"""Files as others make them: any layout, type and rank, several outputs, open sizes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgetl.errors import ConfigError
from edgetl.graph_lint import lint
from edgetl.graph_lint.findings import Finding, Lint

onnx = pytest.importorskip("onnx", reason="edgetl[onnx] is not installed")

FLOAT, UINT8 = 1, 2
Write = Callable[..., Path]


def concats(file: Path, pixels: str = "0..255") -> list[Finding]:
    return [each for each in lint(file, pixels=pixels).findings if each.what.startswith("Concat ")]


SCALES = {"large": np.float32(100), "small": np.float32(0.01)}


@pytest.mark.parametrize(
    "shape",
    [[1, 3, 8, 8], [1, 8, 8, 3], ["batch", 3, 8, 8], ["n", 3, "h", "w"], [1, 1, 8, 8]],
    ids=["channels first", "channels last", "open batch", "open sides", "grey"],
)
def test_every_layout_of_an_image_is_fed(write: Write, shape: list[int | str]) -> None:
    nodes = [("Mul", "image large", "a"), ("Concat", "a image", "both", {"axis": -1})]
    file = write(nodes, {"both": ["a", "b", "c", "d"]}, shape, constants=SCALES)

    found = concats(file)[0]

    assert (found.what, found.place) == ("Concat 'both'", "output")
    assert found.ratio == pytest.approx(100)


def test_integer_input_gets_all_that_it_holds(write: Write) -> None:
    nodes = [
        ("Cast", "image", "a", {"to": FLOAT}),
        ("Mul", "a small", "b"),
        ("Concat", "a b", "both", {"axis": 1}),
    ]
    file = write(nodes, {"both": [1, 6, 8, 8]}, [1, 3, 8, 8], dtype=UINT8, constants=SCALES)

    found = concats(file, "0..1")[0]

    assert found.parts[0].highest > 200
    assert found.parts[1].highest < 2.56


def test_pixels_of_a_float_input_are_what_the_user_says(write: Write) -> None:
    nodes = [("Mul", "image large", "a"), ("Concat", "a image", "both", {"axis": 1})]
    file = write(nodes, {"both": [1, 6, 8, 8]}, [1, 3, 8, 8], constants=SCALES)

    by_pixels = {pixels: concats(file, pixels)[0].parts[1] for pixels in ("0..1", "-1..1")}

    assert 0 <= by_pixels["0..1"].lowest < by_pixels["0..1"].highest <= 1
    assert -1 <= by_pixels["-1..1"].lowest < -0.2


def test_join_inside_the_network_is_told_apart_and_comes_last(write: Write) -> None:
    nodes = [
        ("Mul", "image large", "a"),
        ("Concat", "a image", "inner", {"axis": 1}),
        ("Relu", "inner", "changed"),
        ("Mul", "changed small", "b"),
        ("Concat", "b changed", "outer", {"axis": 1}),
        ("Transpose", "outer", "moved", {"perm": [0, 2, 3, 1]}),
    ]
    file = write(nodes, {"moved": [1, 8, 8, 12]}, [1, 3, 8, 8], constants=SCALES)

    assert [(found.what, found.place) for found in concats(file)] == [
        ("Concat 'outer'", "output"),
        ("Concat 'inner'", "inside"),
    ]


def test_output_joined_by_any_operation_is_found_by_its_columns(write: Write) -> None:
    # No Concat: a product with (100, 100, 0.01) per channel.
    scales = {"scales": np.array([100, 100, 0.01], np.float32)}
    nodes = [("Mul", "image scales", "found")]
    file = write(nodes, {"found": [1, 8, 8, 3]}, [1, 8, 8, 3], constants=scales)

    (found,) = lint(file).findings

    assert found.what == "output 'found', axis 3"
    assert [part.name for part in found.parts] == ["columns 0 to 1", "column 2"]
    assert found.ratio > 1000


@pytest.mark.parametrize(
    ("scales", "why"),
    [([15.9, 1, 1], "below the limit"), ([1 / 256, 1e-4, 1e-4], "probabilities")],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_output_of_one_unit_is_clean(write: Write, scales: list[float], why: str) -> None:
    del why
    nodes = [("ReduceMax", "image", "grey", {"keepdims": 1}), ("Mul", "grey scales", "found")]
    constants = {"scales": np.array(scales, np.float32)}
    file = write(nodes, {"found": [1, 1, 1, 3]}, [1, 8, 8, 3], constants=constants)

    assert lint(file) == Lint((), (), ())


def test_shapes_that_are_joined_are_no_finding(write: Write) -> None:
    constants = {"one": np.array([1]), "rest": np.array([192])}
    nodes = [
        ("Concat", "one rest", "shape", {"axis": 0}),
        ("Reshape", "image shape", "flat"),
    ]
    file = write(nodes, {"flat": [1, 192]}, [1, 3, 8, 8], constants=constants)

    assert lint(file) == Lint((), (), ())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.onnx", b"\xff\xff nothing", "cannot be read as ONNX: .+"),
        ("a.onnx", b"", "cannot be read as ONNX: it has no operation"),
        ("a.tflite", b"nothing at all", "cannot be run by LiteRT: .+"),
        ("a.pt", b"", r"is not a model file; it must end with \.onnx or \.tflite"),
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


def test_operation_that_the_engine_does_not_know_is_refused(write: Write) -> None:
    file = write([("Relu", "image", "out")], {"out": [1, 3, 8, 8]}, [1, 3, 8, 8])
    model = onnx.load(file)
    model.graph.node[0].op_type = "Sharpen"
    onnx.save(model, file)

    with pytest.raises(ConfigError, match=r"cannot be run by ONNX Runtime: .*Sharpen"):
        lint(file)


def test_open_side_that_the_network_cannot_take_is_refused(write: Write) -> None:
    # 3 x 320 x 320 values do not make rows of seven.
    constants = {"shape": np.array([-1, 7])}
    nodes = [("Reshape", "image shape", "out")]
    file = write(nodes, {"out": ["a", 7]}, [1, 3, "h", "w"], constants=constants)

    with pytest.raises(ConfigError, match=r"cannot be run by ONNX Runtime: .*[Rr]eshape"):
        lint(file)
