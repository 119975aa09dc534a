"""The runtime in environments of its own: nothing of edgetl and no framework is installed there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import venv
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import pytest
from PIL import Image

from edgetl.runtime.bundle import digest_file, runtime_files


@pytest.fixture
def bundle(model_folder: Path) -> Path:
    """The classifier as it is handed over, and an image."""
    _hand_over(model_folder)
    Image.new("RGB", (32, 32), (0, 200, 0)).save(model_folder / "green.png")
    return model_folder


def test_bundle_answers_with_numpy_pillow_and_one_engine_alone(
    bundle: Path, tmp_path: Path
) -> None:
    python = _environment(tmp_path / "venv", ["numpy", "pillow", "onnxruntime"])
    num_predictions = _run(python, bundle, "-m", "edgetl.runtime", "predict", ".", "green.png")
    assert (num_predictions.stdout, num_predictions.stderr) == ("green.png: green 0.7870\n", "")
    checked = _run(python, bundle, "-m", "edgetl.runtime", "check", ".")
    assert checked.stdout.endswith("the bundle reproduces its golden samples\n")
    for name in ("torch", "click", "pydantic", "yaml", "edgetl.stages", "onnx"):
        found = _run(python, bundle, "-c", f"import {name}")
        assert f"No module named '{name}'" in found.stderr


def test_detector_answers_and_draws_with_them_alone(detector_folder: Path, tmp_path: Path) -> None:
    _hand_over(detector_folder)
    Image.new("RGB", (320, 320), (0, 0, 255)).save(detector_folder / "blue.png")
    python = _environment(tmp_path / "venv", ["numpy", "pillow", "onnxruntime"])
    words = ("-m", "edgetl.runtime", "predict", ".", "blue.png", "--draw", "out")
    num_predictions = _run(python, detector_folder, *words)
    assert num_predictions.stderr == ""
    assert num_predictions.stdout == (
        "blue.png: blue screw 1.0000 at 160.0 0.0 320.0 160.0\n"
        "blue.png: drawn in out/blue.drawn.jpg\n"
    )
    assert (detector_folder / "out" / "blue.drawn.jpg").stat().st_size > 1000
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
    bundle: Path, tmp_path: Path, installed: list[str], missing: str
) -> None:
    python = _environment(tmp_path / "venv", installed)
    found = _run(python, bundle, "-m", "edgetl.runtime", "predict", ".", "green.png")
    assert found.returncode == 4
    assert f"the package '{missing}'" in found.stderr
    assert found.stderr.splitlines()[-1] == f"  pip install {missing}"
    assert "Traceback" not in found.stderr


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


def _environment(folder: Path, distributions: Sequence[str]) -> Path:
    """Make a virtual environment with links to these installed distributions and their needs."""
    venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
    (site,) = folder.glob("lib/python*/site-packages")
    for name in _with_needs(distributions):
        files = metadata.files(name) or []
        tops = {file.parts[0] for file in files} - {"..", "__pycache__"}
        for top in tops:
            (site / top).symlink_to(str(metadata.distribution(name).locate_file(top)))
    return folder / "bin" / "python"


def _with_needs(distributions: Sequence[str]) -> set[str]:
    """Return the distributions with all that they require, without extras."""
    found: set[str] = set()
    left = list(distributions)
    while left:
        name = left.pop()
        if name in found:
            continue
        found.add(name)
        needs = [need for need in metadata.requires(name) or [] if ";" not in need]
        left += [re.split(r"[^A-Za-z0-9._-]", need)[0] for need in needs]
    return found


def _run(python: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, *arguments], cwd=folder, env={}, capture_output=True, text=True, check=False
    )
