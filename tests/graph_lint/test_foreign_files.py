"""Files as others make them: any layout, type and rank, several outputs, open sizes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


@pytest.mark.parametrize(
    ("makes", "clean"),
    [
        pytest.param([("Sigmoid", "logits", "part")], True, id="sigmoid"),
        pytest.param(
            [("Sigmoid", "logits", "a"), ("Mul", "a a", "b"), ("Identity", "b", "part")],
            True,
            id="product of sigmoids",
        ),
        pytest.param([("Exp", "logits", "part")], False, id="no score"),
    ],
)
def test_scores_reach_1_although_these_images_show_nothing(
    write: Write, makes: list[tuple[str, str, str]], *, clean: bool
) -> None:
    # Pixels of 0..1 times 10 reach 10; what is made of pixels less 5 stays below 0.02.
    nodes = [
        ("Mul", "image ten", "boxes"),
        ("Sub", "image five", "logits"),
        *makes,
        ("Concat", "boxes part", "both", {"axis": 1}),
        ("Reshape", "both flat", "out"),
    ]
    constants = {
        "ten": np.float32(10), "five": np.float32(5), "flat": np.array([1, 1, 6 * 64])
    }  # fmt: skip
    file = write(nodes, {"out": [1, 1, 384]}, [1, 3, 8, 8], constants=constants)

    assert (concats(file, "0..1") == []) is clean


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2\nsize 9000000\n"


@pytest.mark.parametrize(
    ("name", "content", "what", "remedy"),
    [
        pytest.param("a.onnx", LFS, "is a Git LFS pointer, ", "git lfs pull", id="lfs"),
        pytest.param("a.tflite", LFS, "is a Git LFS pointer, ", "git lfs pull", id="lfs tflite"),
        pytest.param(
            "a.onnx", b"<!DOCTYPE html>", "is a web page, ", "download the file", id="page"
        ),
        pytest.param(
            "a.tflite",
            b"PK\x03\x04abc",
            "is a zip, as PyTorch",
            "export the model to TFLite",
            id="zip",
        ),
        pytest.param(
            "a.onnx", b"\x1f\x8b\x08abc", "is packed by gzip", "unpack it with gunzip", id="gzip"
        ),
        pytest.param(
            "a.onnx", b"\x89HDF\r\n", "is an HDF5 file of Keras", "TFLiteConverter", id="h5"
        ),
        pytest.param(
            "a.onnx", b"\x80\x02}q", "is a pickled Python", "to ONNX in Python", id="pickle"
        ),
        pytest.param(
            "a.onnx",
            b" \0\0\0TFL3\0\0",
            "is a TFLite file",
            "ends with .tflite",
            id="tflite as onnx",
        ),
        pytest.param(
            "a.tflite", b"\x08\x08:\x10", "is a ONNX file", r"ends with \.onnx", id="onnx as tflite"
        ),
        pytest.param(
            "a.tflite",
            b" \0\0\0TFL3\0\0",
            "cannot be read as TFLite: it begins like a model and is cut short or damaged",
            "download it again",
            id="torn tflite",
        ),
    ],
)
def test_what_has_the_name_of_a_model_is_named_with_the_way_out(
    tmp_path: Path, name: str, content: bytes, what: str, remedy: str
) -> None:
    if name.endswith("tflite"):
        pytest.importorskip("ai_edge_litert", reason="edgetl[tflite] is not installed")
    (tmp_path / name).write_bytes(content)

    with pytest.raises(ConfigError, match=f"{re.escape(f'{name}: {what}')}.*\n  .*{remedy}"):
        lint(tmp_path / name)


@pytest.fixture
def plain(write: Write) -> Path:
    """Write a network of one product."""
    constants = {"scale": np.full((3, 1, 1), 0.5, np.float32)}
    return write([("Mul", "image scale", "out")], {"out": [1, 3, 8, 8]}, [1, 3, 8, 8],
                 constants=constants)  # fmt: skip


def test_torn_onnx_file_is_called_that(plain: Path) -> None:
    plain.write_bytes(plain.read_bytes()[:-20])

    with pytest.raises(ConfigError, match=r"begins like a model and is cut short .*\n  copy or"):
        lint(plain)


def test_suffix_in_capitals_is_read(plain: Path) -> None:
    assert lint(plain.rename(plain.with_suffix(".ONNX"))) == Lint((), (), ())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            {"ir_version": 99},
            r"it states IR version 99, ONNX Runtime \S+ reads up to \d+\n  export the model for an "
            r"older opset, such as `opset_version=17`, or install a newer onnxruntime",
            id="IR version",
        ),
        pytest.param(
            {"opset": 99},
            r"it states opset 99, ONNX Runtime \S+ reads up to \d+\n  export the model for an",
            id="opset",
        ),
        pytest.param(
            {"op_type": "EfficientNMS_TRT", "domain": "TRT"},
            r"it uses the operation 'TRT:EfficientNMS_TRT', which ONNX Runtime \S+ does not have "
            r"in the opset of the file\n  export the model without it: detectors",
            id="custom operation",
        ),
        pytest.param(
            {"op_type": "Sharpen"}, r"it uses the operation 'Sharpen', which ONNX", id="operation"
        ),
        pytest.param(
            {"domain": "com.acme", "is_imported": False},
            r"it uses operations of the domain 'com\.acme', which ONNX",
            id="domain",
        ),
    ],
)
def test_model_that_the_engine_cannot_run_is_refused_with_the_remedy_of_the_cause(
    plain: Path, change: dict[str, Any], message: str
) -> None:
    model = onnx.load(plain)
    model.ir_version = change.get("ir_version", 9)
    model.opset_import[0].version = change.get("opset", 18)
    node = model.graph.node[0]
    node.op_type, node.domain = change.get("op_type", "Mul"), change.get("domain", "")
    if node.domain and change.get("is_imported", True):
        model.opset_import.append(onnx.helper.make_opsetid(node.domain, 1))
    onnx.save(model, plain)

    with pytest.raises(ConfigError, match=rf"cannot be run by ONNX Runtime: {message}"):
        lint(plain)


def test_types_without_an_implementation_are_refused(write: Write) -> None:
    bfloat16 = 16
    nodes = [("Conv", "wide weights", "c"), ("Cast", "c", "out", {"to": FLOAT})]
    weights = onnx.numpy_helper.from_array(np.zeros((1, 3, 1, 1), np.float32))
    nodes = [
        ("Constant", "", "w", {"value": weights}),
        ("Cast", "w", "weights", {"to": bfloat16}),
        ("Cast", "image", "wide", {"to": bfloat16}),
        *nodes,
    ]
    file = write(nodes, {"out": [1, 1, 8, 8]}, [1, 3, 8, 8])
    model = onnx.load(file)
    model.opset_import[0].version = 22
    onnx.save(model, file)

    with pytest.raises(ConfigError, match=r"has no 'Conv' for the types .*\n  export the model in"):
        lint(file)


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        pytest.param(
            None,
            r"keeps its weights in 'model\.data', which is not there\n  put the file that was "
            r"exported along with it at \S+/model\.data, under this very name, or save the model",
            id="missing",
        ),
        pytest.param(
            b"1234",
            r"its weights: 'model\.data' is cut short: tensor 'scale' needs 12 bytes from byte 0 "
            r"on, there are 4\n  copy or download both files again",
            id="cut short",
        ),
        pytest.param(
            LFS, r"its weights: 'model\.data' is a Git LFS pointer, .*\n  run `git lfs", id="lfs"
        ),
    ],
)
@pytest.mark.parametrize("reader", ["lint", "estimate"])
def test_weights_beside_the_model_are_refused_with_the_remedy(
    plain: Path, kept: bytes | None, message: str, reader: str
) -> None:
    from edgetl.estimator.graph import read_graph

    data = plain.with_name("model.data")
    onnx.save(
        onnx.load(plain), plain, save_as_external_data=True, location=data.name, size_threshold=0
    )
    assert lint(plain) == Lint((), (), ())
    if kept is None:
        data.unlink()
    else:
        data.write_bytes(kept)

    with pytest.raises(ConfigError, match=rf"model\.onnx: {message}"):
        lint(plain) if reader == "lint" else read_graph(plain)


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
