"""The examples of docs/device.md: all compile for old Pythons, those without a camera run."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

_ROOT = Path(__file__).parents[2]
_TEXT = (_ROOT / "docs" / "device.md").read_text(encoding="utf-8")
_EXAMPLES = re.findall(r"\n##+ ([^\n]+)\n(?:(?!\n##).)*?```python\n(.*?)```", _TEXT, re.DOTALL)


def test_every_way_to_get_frames_has_an_example() -> None:
    titles = [title for title, _ in _EXAMPLES]
    assert titles == ["From Python", "OpenCV", "picamera2", "GStreamer", "ROS 2"]
    assert _TEXT.count("```python") == len(titles)


@pytest.mark.parametrize(("title", "code"), _EXAMPLES, ids=[title for title, _ in _EXAMPLES])
def test_example_compiles_and_uses_what_the_predictor_has(title: str, code: str) -> None:
    del title
    tree = ast.parse(code, feature_version=(3, 9))
    compile(code, "example", "exec")
    calls = {
        node.func.attr: {keyword.arg for keyword in node.keywords}
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert calls["open"] <= {"threads"}
    assert calls.get("predict_array", set()) <= {"order"}
    assert "predict_array" in calls or "predict" in calls


def test_loop_over_raw_frames_predicts_each(model_folder: Path) -> None:
    code = dict(_EXAMPLES)["GStreamer"]
    # Columns of a frame that is twice as wide as high: the border adds black to the means.
    colours = [(0, 200, 0), (0, 0, 200)]
    frames = [np.full((20, 40, 3), colour, np.uint8) for colour in colours]
    done = subprocess.run(
        [sys.executable, "-c", code, str(model_folder), "40", "20"],
        input=b"".join(frame.tobytes() for frame in frames) + b"torn",
        cwd=_ROOT,
        capture_output=True,
        check=True,
    )
    # exp(1) / (exp(1) + 2) = 0.576117
    assert done.stdout.decode() == "['green 0.5761']\n['blue 0.5761']\n"


def test_example_of_a_file_predicts_it(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dist").mkdir()
    model_folder.rename(tmp_path / "dist" / "rpi4")
    Image.new("RGB", (32, 32), (0, 200, 0)).save(tmp_path / "image.jpg", quality=95)
    code = dict(_EXAMPLES)["From Python"]
    monkeypatch.setenv("PYTHONPATH", str(_ROOT))
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("green 0.7")
