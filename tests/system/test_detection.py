"""From labelled boxes to a bundle that finds objects on an image, as whole commands."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from PIL import Image

Done = subprocess.CompletedProcess[str]

_RECIPE = """\
name: scenes
task: detection
data: {path: scenes, val: 0.2, test: 0.3, seed: 0}
input: {size: 64}
teacher: {family: yolox_nano, width: 0.5, weights: none}
finetune: {epochs: 20, batch_size: 4, lr: 0.02, augment: flip}
student: {family: yolox_nano, width: 0.5}
distill: {epochs: 20, batch_size: 4, lr: 0.02, augment: flip, control: false}
benchmark: {seconds: 0.02, count: 20, rounds: 4, most_rounds: 4}
nms: {mode: class-agnostic, iou: 0.6}
calibration: tiny
targets: [host]
"""


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory,
    edgetl: Callable[..., Done],
    write_files: Callable[[Path, str], None],
) -> Path:
    folder = tmp_path_factory.mktemp("detection")
    done = edgetl(folder, "generate", "scenes", "--task", "detection", "--images", "60")
    assert done.returncode == 0, done.stderr
    write_files(folder, _RECIPE)
    return folder


@pytest.fixture(scope="module")
def ran(project: Path, edgetl: Callable[..., Done]) -> Done:
    done: Done = edgetl(project, "run", "recipe.yaml")
    return done


def test_labelled_boxes_become_a_bundle(project: Path, ran: Done) -> None:
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"index +60 images, \d+ boxes, 6 classes", ran.stdout + ran.stderr)
    assert re.search(r"host +onnx int8 +\d\.\d{3} \[", ran.stdout)
    contract = json.loads((project / "dist/host/contract.json").read_text(encoding="utf-8"))
    locations = (64 // 8) ** 2 + (64 // 16) ** 2 + (64 // 32) ** 2
    assert {output["name"]: output["shape"] for output in contract["outputs"]} == {
        "boxes": [1, locations, 4],
        "scores": [1, locations, 6],
    }
    nms = contract["operating_point"]["nms"]
    assert (nms["mode"], nms["iou"], nms["max_detections"]) == ("class-agnostic", 0.6, 100)


@pytest.mark.usefixtures("ran")
def test_second_run_reuses_everything(project: Path, edgetl: Callable[..., Done]) -> None:
    done = edgetl(project, "run", "recipe.yaml")
    assert done.returncode == 0, done.stderr
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "reused" in line]
    assert any(line.startswith("finetune") for line in lines)
    assert any(line.startswith("package host") for line in lines)


@pytest.mark.usefixtures("ran")
def test_bundle_answers_in_pixels_of_the_image_and_draws(
    project: Path, edgetl: Callable[..., Done]
) -> None:
    image = next((project / "scenes").rglob("*.jpg"))
    wide = project / "wide.jpg"
    with Image.open(image) as opened:
        opened.resize((640, 480)).save(wide)
    done = edgetl(
        project, "predict", "dist/host", "wide.jpg", "--json", "--threshold", "0.0001",
        "--draw", "drawn",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    boxes = [found["box"] for found in row["objects"]]
    assert boxes, "a threshold of nearly zero lets something through"
    assert all(0 <= x1 < x2 <= 640 and 0 <= y1 < y2 <= 480 for x1, y1, x2, y2 in boxes)
    with Image.open(project / "drawn" / "wide.drawn.jpg") as synthetic:
        assert synthetic.size == (640, 480)


@pytest.mark.usefixtures("ran")
def test_bundle_checks_itself_without_edgetl(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project / "dist/host", tmp_path / "bundle")
    done = subprocess.run(
        [sys.executable, "-m", "edgetl.runtime", "check", "."],
        cwd=tmp_path / "bundle",
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"boxes +against the recorded outputs.*ok", done.stdout)
    assert re.search(r"scores +against the recorded outputs.*ok", done.stdout)


def _zeroed_scores(graph: onnx.GraphProto) -> None:
    (node,) = (node for node in graph.node if "scores" in node.output)
    node.output[list(node.output).index("scores")] = "shut off"
    graph.initializer.append(numpy_helper.from_array(np.array(0, np.float32), "nothing"))
    graph.node.append(helper.make_node("Mul", ["shut off", "nothing"], ["scores"]))


def _swapped_channels(graph: onnx.GraphProto) -> None:
    image = graph.input[0].name
    for node in graph.node:
        node.input[:] = ["bgr" if name == image else name for name in node.input]
    graph.initializer.append(numpy_helper.from_array(np.array([2, 1, 0]), "order"))
    graph.node.insert(0, helper.make_node("Gather", [image, "order"], ["bgr"], axis=3))


@pytest.mark.usefixtures("ran")
@pytest.mark.parametrize("change", [_zeroed_scores, _swapped_channels])
def test_file_that_answers_otherwise_fails_its_golden_samples_alone(
    project: Path,
    edgetl: Callable[..., Done],
    rebuild: Callable[[Path, Callable[[onnx.GraphProto], None]], str],
    change: Callable[[onnx.GraphProto], None],
) -> None:
    done = edgetl(project, "check", rebuild(project, change), "--target", "host", "--json")
    assert done.returncode == 5, done.stderr
    cases = {case["name"]: case for case in json.loads(done.stdout)["cases"]}
    assert [name for name, case in cases.items() if case["status"] == "failed"] == [
        "golden samples"
    ]
    assert "scores against the recorded outputs: worst 0." in cases["golden samples"]["reason"]


def test_classifier_is_no_detector(project: Path, edgetl: Callable[..., Done]) -> None:
    done = edgetl(project, "plan", "recipe.yaml", "--set", "teacher.family=mobilenet_v2")
    assert done.returncode == 3
    assert "mobilenet_v2" in done.stderr
    assert "yolox_nano" in done.stderr
