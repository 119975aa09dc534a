"""The runtime in environments of its own: nothing of edgetl and no framework is installed there."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from edgetl.runtime.bundle import digest_file, runtime_files

Environment = Callable[[Path, Sequence[str]], Path]


@pytest.fixture
def bundle(model_folder: Path) -> Path:
    """The classifier as it is handed over, and an image beside it."""
    _hand_over(model_folder)
    Image.new("RGB", (32, 32), (0, 200, 0)).save(model_folder.parent / "green.png")
    return model_folder


def test_bundle_answers_with_numpy_pillow_and_one_engine_alone(
    bundle: Path, tmp_path: Path, environment: Environment
) -> None:
    python = environment(tmp_path / "venv", ["numpy", "pillow", "onnxruntime"])
    predicted = _run(python, bundle, "-m", "edgetl.runtime", "predict", ".", "../green.png")
    assert (predicted.stdout, predicted.stderr) == ("../green.png: green 0.7870\n", "")
    checked = _run(python, bundle, "-m", "edgetl.runtime", "check", ".")
    assert checked.stdout.endswith("the bundle reproduces its golden samples\n")
    for name in ("torch", "click", "pydantic", "yaml", "edgetl.stages", "onnx"):
        result = _run(python, bundle, "-c", f"import {name}")
        assert f"No module named '{name}'" in result.stderr


def test_detector_answers_and_draws_with_them_alone(
    detector_folder: Path, tmp_path: Path, environment: Environment
) -> None:
    _hand_over(detector_folder)
    Image.new("RGB", (320, 320), (0, 0, 255)).save(detector_folder.parent / "blue.png")
    python = environment(tmp_path / "venv", ["numpy", "pillow", "onnxruntime"])
    words = ("-m", "edgetl.runtime", "predict", ".", "../blue.png", "--draw", "../out")
    predicted = _run(python, detector_folder, *words)
    assert predicted.stderr == ""
    assert predicted.stdout == (
        "../blue.png: blue screw 1.0000 at 160.0 0.0 320.0 160.0\n"
        "../blue.png: drawn in ../out/blue.drawn.jpg\n"
    )
    assert (detector_folder.parent / "out" / "blue.drawn.jpg").stat().st_size > 1000
    checked = _run(python, detector_folder, "-m", "edgetl.runtime", "check", ".")
    assert checked.stdout.endswith("the bundle reproduces its golden samples\n")


@pytest.mark.parametrize(
    ("installed", "missing"),
    [
        pytest.param([], "numpy", id="numpy"),
        pytest.param(["numpy"], "pillow", id="pillow"),
        pytest.param(["numpy", "pillow"], "onnxruntime", id="engine"),
    ],
)
def test_missing_package_is_named_with_the_command_that_brings_it(
    bundle: Path,
    tmp_path: Path,
    environment: Environment,
    installed: list[str],
    missing: str,
) -> None:
    python = environment(tmp_path / "venv", installed)
    result = _run(python, bundle, "-m", "edgetl.runtime", "predict", ".", "../green.png")
    assert result.returncode == 4
    assert f"the package '{missing}'" in result.stderr
    assert result.stderr.splitlines()[-1] == f"  pip install {missing}"
    assert "Traceback" not in result.stderr


def _hand_over(folder: Path) -> None:
    """Put the runtime and a manifest into a model folder."""
    for name, source in runtime_files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / name)
    files = {
        path.relative_to(folder).as_posix(): digest_file(path)
        for path in folder.rglob("*")
        if path.is_file()
    }
    (folder / "manifest.json").write_text(json.dumps({"schema": 1, "files": files}))


def _run(python: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, *arguments], cwd=folder, env={}, capture_output=True, text=True, check=False
    )
