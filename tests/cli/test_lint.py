"""``edgetl lint`` reports findings with reason and remedy, and sets the exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="edgetl[onnx] is not installed")


def lint(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgetl", "lint", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Write a model that outputs its pixels concatenated with 0.01 times their values."""
    helper = onnx.helper
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["image", "scale"], ["scores"], name="shrink"),
            helper.make_node("Concat", ["image", "scores"], ["dets"], name="join", axis=1),
        ],
        "graph",
        [helper.make_tensor_value_info("image", 1, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("dets", 1, [1, 6, 8, 8])],
        [onnx.numpy_helper.from_array(np.float32(0.01), "scale")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "joined.onnx")
    return tmp_path


def test_joined_output_is_reported_with_its_branches_and_a_remedy(model: Path) -> None:
    done = lint("joined.onnx", cwd=model)

    assert done.returncode == 5
    assert "Concat 'join': parts differ 100-fold in range (output)\n  image: " in done.stdout
    assert "\n  scores: " in done.stdout
    assert "all parts share the 256 steps of one int8 scale" in done.stdout
    assert "give each part a separate output" in done.stdout
    assert done.stderr == ""


def test_json_holds_the_same(model: Path) -> None:
    done = lint("joined.onnx", "--json", "--pixels", "0..1", cwd=model)

    result = json.loads(done.stdout)
    assert done.returncode == 5
    join = next(each for each in result["findings"] if each["what"] == "Concat 'join'")
    assert (join["place"], join["tensor"]) == ("output", "dets")
    assert [part["name"] for part in join["parts"]] == ["image", "scores"]
    assert join["parts"][0]["highest"] <= 1


def test_clean_model_ends_with_0(model: Path) -> None:
    graph = onnx.load(model / "joined.onnx")
    graph.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.float32(0.5), "scale"))
    onnx.save(graph, model / "clean.onnx")

    done = lint("clean.onnx", cwd=model)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == ("clean.onnx: no joined parts differ more than 16-fold in range\n")


def test_lost_part_of_a_quantized_file_is_reported_with_its_step(model: Path) -> None:
    helper = onnx.helper
    graph = onnx.load(model / "joined.onnx")
    graph.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(8), "step"))
    graph.graph.node[1].output[0] = "both"
    graph.graph.node.extend(
        [
            helper.make_node("QuantizeLinear", ["both", "step"], ["rounded"]),
            helper.make_node("DequantizeLinear", ["rounded", "step"], ["dets"]),
        ]
    )
    onnx.save(graph, model / "dead.onnx")

    done = lint("dead.onnx", cwd=model)

    # 0.01 of 255 is less than half of 8.
    assert done.returncode == 5
    assert "output 'dets', axis 1: parts differ " in done.stdout
    assert "  columns 3 to 5: 0 to 0, lost completely\n" in done.stdout
    assert "  one step of the tensor is 8 in this file\n" in done.stdout


def test_values_that_are_cut_off_are_reported_with_a_remedy(model: Path) -> None:
    helper = onnx.helper
    graph = onnx.load(model / "joined.onnx")
    graph.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(0.01), "step"))
    graph.graph.node[1].output[0] = "both"
    graph.graph.node.extend(
        [
            helper.make_node("QuantizeLinear", ["both", "step"], ["rounded"]),
            helper.make_node("DequantizeLinear", ["rounded", "step"], ["dets"]),
        ]
    )
    onnx.save(graph, model / "cut.onnx")

    done = lint("cut.onnx", cwd=model)
    kept = json.loads(lint("cut.onnx", "--json", cwd=model).stdout)

    # Pixels of 0..255 on a scale that ends at 2.55; a hundredth of them fits.
    lines = done.stdout.splitlines()
    assert done.returncode == 5
    assert lines[0].startswith("'both', axis 1, columns 0 to 2: ")
    assert lines[0].endswith("% of the values are cut off")
    assert lines[1].startswith("  before rounding: 0 to 2")
    assert lines[2:5] == [
        "  scale: 0 to 2.55",
        "  one step of the tensor is 0.01 in this file",
        "  the int8 scale of this tensor does not hold them: all of them became equal",
    ]
    assert lines[5].startswith("  give boxes and scores separate outputs in the float model")
    assert kept["findings"][0]["place"] == "clipped"
    assert kept["findings"][0]["share"] > 0.8


def test_placeholders_and_unexamined_parts_are_reported(model: Path) -> None:
    helper = onnx.helper
    branches = {
        name: helper.make_graph(
            [helper.make_node("Concat", ["image"] * 2, [name], axis=1)],
            name,
            [],
            [helper.make_tensor_value_info(name, 1, None)],
        )
        for name in ("then_branch", "else_branch")
    }
    graph = helper.make_graph(
        [helper.make_node("If", ["flag"], ["out"], **branches)],
        "graph",
        [
            helper.make_tensor_value_info("image", 1, [2, 3, 8, 8]),
            helper.make_tensor_value_info("flag", 9, []),
        ],
        [helper.make_tensor_value_info("out", 1, [2, 6, 8, 8])],
    )
    opset = helper.make_opsetid("", 18)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), model / "if.onnx")

    done = lint("if.onnx", cwd=model)
    kept = json.loads(lint("if.onnx", "--json", cwd=model).stdout)

    fed = [
        "every image was fed 2 times, the batch that the file fixes",
        "input 'flag' was fed with 1; if it needs something else, make it a constant in the file",
    ]
    what = (
        "2 joining operations inside branches and loops, of which ONNX Runtime shows no values: "
        "Concat 'else_branch' in If, Concat 'then_branch' in If"
    )
    remedy = "export the model without control flow, or with its constant conditions folded"
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        *fed,
        f"not examined: {what}",
        f"  {remedy}",
        "if.onnx: no examined parts differ more than 16-fold in range",
    ]
    assert kept == {"findings": [], "fed": fed, "unseen": [{"what": what, "remedy": remedy}]}


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("nowhere.onnx",), 3, "nowhere.onnx: no such file"),
        (("notes.txt",), 3, "notes.txt: is not a model file; it must end with .onnx or .tflite"),
        (("joined.onnx", "--image", "notes.txt"), 3, "notes.txt"),
        (("joined.onnx", "--pixels", "0..2"), 2, "'0..2' is not one of '0..255', '0..1', '-1..1'"),
    ],
    ids=["missing", "text", "image", "pixels"],
)
def test_what_cannot_be_looked_at_is_refused(
    model: Path, words: tuple[str, ...], code: int, message: str
) -> None:
    (model / "notes.txt").write_text("nothing", encoding="utf-8")

    done = lint(*words, cwd=model)

    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
