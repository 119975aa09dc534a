"""From a handful of images to a verdict: what `init` writes can be planned and run."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

Done = subprocess.CompletedProcess[str]
Edgetl = Callable[..., Done]

_SHORTEST = (
    "finetune.epochs=1", "distill.epochs=1", "distill.control=false", "teacher.weights=none",
    "benchmark.seconds=0.02", "benchmark.count=20", "benchmark.most_rounds=8",
)  # fmt: skip
_CLASSIFIERS = (
    *_SHORTEST, "input.size=32", "finetune.strategy=full", "teacher.width=0.1",
    "student.weights=none", "student.width=0.25",
)  # fmt: skip
_DETECTORS = (*_SHORTEST, "input.size=64", "student.width=0.1")
_ONNX = """\
name: host
description: the machine that runs the tests
device: local
threads: 1
candidates: {onnx: [fp32, int8]}
"""


def _picture(seed: int, kind: int) -> tuple[Image.Image, tuple[float, float, float, float]]:
    """Return a bright disc or square in noise, with its centre and size as fractions."""
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(0, 60, (72, 96, 3), np.uint8))
    left, top = (int(value) for value in rng.integers(2, 30, 2))
    width, height = (int(value) for value in rng.integers(24, 40, 2))
    draw = ImageDraw.Draw(image)
    shape = draw.ellipse if kind == 0 else draw.rectangle
    shape((left, top, left + width, top + height), fill=(200, 180 - 60 * kind, 90))
    return image, (
        (left + width / 2) / 96, (top + height / 2) / 72, width / 96, height / 72
    )  # fmt: skip


def _write_classes(root: Path, counts: dict[str, int]) -> None:
    """Write images into folders, whose last letter is their class."""
    for number, (folder, count) in enumerate(counts.items()):
        (root / folder).mkdir(parents=True)
        for k in range(count):
            image, _ = _picture(100 * number + k, "ab".find(folder[-1]))
            image.save(root / folder / f"{k}.jpg", quality=95)


def _write_boxes(root: Path, splits: dict[str, int], num_classes: int) -> None:
    """Write images with a box each, in YOLO's form."""
    for number, (split, count) in enumerate(splits.items()):
        for folder in ("images", "labels"):
            (root / folder / split).mkdir(parents=True)
        for k in range(count):
            image, box = _picture(100 * number + k, k % num_classes)
            image.save(root / "images" / split / f"{number}{k}.jpg", quality=95)
            row = " ".join(f"{value:.5f}" for value in box)
            label = root / "labels" / split / f"{number}{k}.txt"
            label.write_text(f"{k % num_classes} {row}\n", encoding="utf-8")
    names = json.dumps(["disc", "square"][:num_classes])
    (root / "data.yaml").write_text(f"names: {names}\n", encoding="utf-8")


def _run(edgetl: Edgetl, folder: Path, settings: tuple[str, ...]) -> Done:
    """Return the run of the recipe that `init` writes for the images in `folder`."""
    words = [word for setting in settings for word in ("--set", setting)]
    done = edgetl(folder, "init", "images")
    assert done.returncode == 0, done.stderr
    assert "too small to show a limit (drop at most 1 pp)" in done.stdout
    planned = edgetl(folder, "plan", "images/recipe.yaml", *words)
    assert planned.returncode == 0, planned.stderr
    assert "too small to show a limit (drop at most 1 pp)" in planned.stdout
    return edgetl(folder, "run", "images/recipe.yaml", *words)


def _check(done: Done) -> None:
    assert done.returncode in {0, 5}, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith("the test split has ")
    assert "too small to show a limit (drop at most 1 pp)" in last


@pytest.fixture
def onnx_only(tmp_path: Path) -> Path:
    """Return a folder with a target of two candidates, which take less time than eight."""
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets/host.yaml").write_text(_ONNX, encoding="utf-8")
    return tmp_path


def test_six_images_of_each_of_two_classes_end_in_a_verdict(
    onnx_only: Path, edgetl: Edgetl
) -> None:
    _write_classes(onnx_only / "images", {"a": 6, "b": 6})
    done = _run(edgetl, onnx_only, _CLASSIFIERS)
    _check(done)
    assert "12 images, 2 classes (train 8, val 2, test 2)" in done.stdout
    assert "smaller; 8 images" in done.stdout  # that the int8 file is calibrated with


def test_twelve_images_with_boxes_end_in_a_verdict(onnx_only: Path, edgetl: Edgetl) -> None:
    _write_boxes(onnx_only / "images", {"": 12}, 2)
    done = _run(edgetl, onnx_only, _DETECTORS)
    _check(done)
    assert "12 images, 12 boxes, 2 classes (train 8, val 2, test 2)" in done.stdout
    assert "smaller; 8 images" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "counts",
    [
        pytest.param({"a": 6, "b": 6}, id="2 x 6"),
        pytest.param({"a": 6, "b": 9, "c": 20}, id="unbalanced"),
        pytest.param(
            {f"{split}/{name}": n for split, n in (("train", 1), ("val", 1), ("test", 4))
             for name in "ab"},
            id="one to train on",
        ),
        pytest.param(
            {f"{split}/{name}": n for split, n in (("train", 4), ("val", 2)) for name in "ab"},
            id="no test split",
        ),
    ],
)  # fmt: skip
def test_tiny_sets_end_in_a_verdict_on_all_default_files(
    tmp_path: Path, edgetl: Edgetl, counts: dict[str, int]
) -> None:
    _write_classes(tmp_path / "images", counts)
    _check(_run(edgetl, tmp_path, _CLASSIFIERS))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "splits",
    [
        pytest.param({"": 12}, id="12"),
        pytest.param({"train": 8, "val": 2, "test": 2}, id="three splits"),
    ],
)
def test_twelve_boxes_end_in_a_verdict_on_all_default_files(
    tmp_path: Path, edgetl: Edgetl, splits: dict[str, int]
) -> None:
    _write_boxes(tmp_path / "images", splits, 2)
    _check(_run(edgetl, tmp_path, _DETECTORS))
