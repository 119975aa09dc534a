"""``edgetl predict`` prints the same as the bundle's own command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from edgetl.cli import edgetl
from edgetl.runtime.__main__ import main
from edgetl.runtime.contract import Contract, OutputSpec
from edgetl.runtime.detections import NmsSettings
from edgetl.runtime.errors import EdgetlUsageError
from edgetl.runtime.inputs import ImageInput
from edgetl.runtime.model_files import describe_files
from edgetl.runtime.preprocess import Preprocess

_SIZE = 16


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A detector that sees the mean of each colour as the score of one box."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    constants = [
        numpy_helper.from_array(np.array([255], np.float32), "levels"),
        numpy_helper.from_array(np.array([1, 1, 3], np.int64), "shape"),
        numpy_helper.from_array(np.array([[[0.25, 0.25, 0.75, 1.0]]], np.float32), "fixed"),
    ]
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Div", ["mean", "levels"], ["shares"]),
        helper.make_node("Reshape", ["shares", "shape"], ["scores"]),
        helper.make_node("Identity", ["fixed"], ["boxes"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, _SIZE, _SIZE, 3])
    predictions = [
        helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [1, 1, 4]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 1, 3]),
    ]
    graph = helper.make_graph(nodes, "colours", [image], predictions, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "model.onnx")
    Contract(
        task="detection",
        labels=("rote Öse", "green nut", "blue screw"),
        format="onnx",
        files=describe_files(folder, ("model.onnx",)),
        precision="fp32",
        inputs=(ImageInput("image", "image", Preprocess(_SIZE, _SIZE, "stretch", "bilinear", 0)),),
        outputs=(
            OutputSpec("boxes", "boxes", (1, 1, 4), "boxes"),
            OutputSpec("scores", "scores", (1, 1, 3), "scores"),
        ),
        nms=NmsSettings(0.3, 0.5, 10, "per-class"),
    ).save(folder)
    return folder


@pytest.fixture
def image(tmp_path: Path) -> Path:
    Image.new("RGB", (80, 40), (204, 0, 102)).save(tmp_path / "an image.png")
    return tmp_path / "an image.png"


@pytest.mark.parametrize(
    "options",
    [
        pytest.param([], id="plain"),
        pytest.param(["--top", "1"], id="top"),
        pytest.param(["--threshold", "0.9"], id="no detections"),
        pytest.param(["--json"], id="json"),
    ],
)
def test_both_commands_print_the_same(
    bundle: Path, image: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", str(bundle), str(image), *options]
    assert main(words) == 0
    done = CliRunner().invoke(edgetl, words)
    assert done.exit_code == 0
    assert done.stdout == capsys.readouterr().out


def test_images_around_an_unreadable_one_are_predicted(bundle: Path, image: Path) -> None:
    words = ["predict", str(bundle), str(image), "none.png", str(image), "--json"]
    command = [sys.executable, "-m", "edgetl", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert [row["image"] for row in json.loads(done.stdout)] == [str(image), str(image)]
    assert done.stderr == "edgetl: cannot read image 'none.png': no such file\n  check the path\n"


def test_each_object_has_a_line(bundle: Path, image: Path) -> None:
    done = CliRunner().invoke(edgetl, ["predict", str(bundle), str(image)])
    assert done.stdout == (
        f"{image}: rote Öse 0.8000 at 20.0 10.0 60.0 40.0\n"
        f"{image}: blue screw 0.4000 at 20.0 10.0 60.0 40.0\n"
    )


def test_images_of_the_same_name_are_drawn_separately(
    bundle: Path, image: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    twin = image.rename(tmp_path / "other" / image.name)
    Image.new("RGB", (80, 40)).save(image)
    words = ["predict", str(bundle), str(image), str(twin), "--draw", str(tmp_path), "--json"]
    done = CliRunner().invoke(edgetl, words)
    synthetic = [Path(row["drawn"]).name for row in json.loads(done.stdout)]
    assert synthetic == ["an image.drawn.jpg", "an image.drawn-2.jpg"]
    assert np.asarray(Image.open(tmp_path / synthetic[0])).max() < 10
    assert np.asarray(Image.open(tmp_path / synthetic[1])).max() > 200


def test_invalid_request_is_an_expected_error(bundle: Path, image: Path) -> None:
    words = ["predict", str(bundle), str(image), "--draw", str(image)]
    with pytest.raises(EdgetlUsageError, match="cannot write"):
        CliRunner().invoke(edgetl, words, catch_exceptions=False)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nowhere", "a.png"], 2, "there is no folder 'nowhere'\n  check the path, or name the"),
        (["{bundle}/model.onnx", "{bundle}"], 2, "model.onnx' is a file; BUNDLE is a folder and"),
        (["{bundle}/..", "a.png"], 2, "is not a bundle: it has neither contract.json nor manifest"),
        (["{bundle}", "{bundle}"], 3, "': it is a folder\n  pass the images in it, for example"),
        (["{bundle}", "a.png"], 3, "cannot read image 'a.png': no such file\n  check the path"),
        (["{bundle}"], 2, "Missing argument 'IMAGE...'"),
        (["{bundle}", "a.png", "--threshold", "2"], 2, "2.0 is not in the range 0.0<=x<=1.0"),
        (["{bundle}", "a.png", "--draw", ""], 2, "'--draw': an empty path names nothing; '.' is"),
        (["", "a.png"], 2, "'BUNDLE': an empty path names nothing; '.' is the folder here"),
        (["{bundle}", ""], 2, "'IMAGE...': an empty path names nothing; '.' is the folder here"),
    ],
    ids=[
        "bundle",
        "swapped",
        "no bundle",
        "folder",
        "image",
        "no image",
        "threshold",
        "draw",
        "empty bundle",
        "empty image",
    ],
)
def test_mistake_ends_in_one_paragraph(
    bundle: Path, tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    command = [sys.executable, "-m", "edgetl", "predict"]
    done = subprocess.run(
        [*command, *(word.format(bundle=bundle) for word in words)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
