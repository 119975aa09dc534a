"""What was tampered with is refused by name, repaired by one command, and never handed over."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Done = subprocess.CompletedProcess[str]
Edgetl = Callable[..., Done]
Digests = Callable[[Path], dict[str, str]]


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x01
    path.write_bytes(content)


def _damaged(done: Done) -> str:
    assert done.returncode == 6, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def _artifact(folder: Path, label: str) -> Path:
    """Return the folder of the artifact called `label`."""
    (found,) = (
        path.parent
        for path in folder.glob(".edgetl/artifacts/*/*/manifest.json")
        if json.loads(path.read_text("utf-8"))["label"] == label
    )
    return found


_TAMPERED = (
    ("view", "images.npy"),
    ("finetune", "model.safetensors"),
    ("export onnx", "model.onnx"),
    ("compare", "manifest.json"),
)


@pytest.mark.parametrize(("label", "name"), _TAMPERED)
def test_tampered_artifact_is_refused_with_the_remedy(
    finished: Path, edgetl: Edgetl, label: str, name: str
) -> None:
    folder = _artifact(finished, label)
    _flip(folder / name)
    said = _damaged(edgetl(finished, "run", "recipe.yaml"))
    assert str(folder.relative_to(finished)) in said
    assert name in said
    assert "edgetl verify-store --repair" in said
    assert folder.is_dir()


def test_repair_removes_all_that_is_damaged_and_the_rerun_makes_the_same_again(
    finished: Path, edgetl: Edgetl, digests: Digests
) -> None:
    before = digests(finished)
    folders = [_artifact(finished, label) for label, _ in _TAMPERED]
    for folder, (_, name) in zip(folders, _TAMPERED, strict=True):
        _flip(folder / name)
    said = edgetl(finished, "verify-store")
    assert "4 of 12 artifacts are damaged" in _damaged(said)
    for folder in folders:
        assert str(folder.relative_to(finished)) in said.stdout

    repaired = edgetl(finished, "verify-store", "--repair")
    assert repaired.returncode == 0
    assert not any(folder.exists() for folder in folders)
    done = edgetl(finished, "run", "recipe.yaml")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("[reused]") == 8
    assert digests(finished) == before


def test_artifact_that_lost_a_file_is_refused(finished: Path, edgetl: Edgetl) -> None:
    (_artifact(finished, "distill") / "model.safetensors").unlink()
    assert "'model.safetensors' is missing" in _damaged(edgetl(finished, "run", "recipe.yaml"))


@pytest.mark.parametrize("name", ["model.onnx", "labels.txt", "edgetl/runtime/predictor.py"])
def test_bundle_that_was_tampered_with_fails_its_check(finished: Path, name: str) -> None:
    bundle = finished / "dist" / "host"
    _flip(bundle / name)
    done = subprocess.run(
        [sys.executable, "-m", "edgetl.runtime", "check", "dist/host"],
        cwd=finished,
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"bundle dist/host is damaged: '{name}' was changed" in _damaged(done)


def test_run_puts_a_tampered_bundle_right(finished: Path, edgetl: Edgetl) -> None:
    model = finished / "dist" / "host" / "model.onnx"
    before = model.read_bytes()
    _flip(model)
    assert edgetl(finished, "run", "recipe.yaml").returncode == 0
    assert model.read_bytes() == before


def test_files_of_somebody_else_in_dist_are_left_alone(
    finished: Path, edgetl: Edgetl, digests: Digests
) -> None:
    before = digests(finished)
    bundle = finished / "dist" / "host"
    shutil.rmtree(bundle)
    bundle.mkdir()
    (bundle / "thesis.txt").write_text("mine")
    done = edgetl(finished, "run", "recipe.yaml")
    assert done.returncode == 2
    assert "dist/host' contains files that are not a bundle; it is not replaced" in done.stderr
    assert "--dist" in done.stderr
    assert (bundle / "thesis.txt").read_text() == "mine"
    assert digests(finished) == before


@pytest.mark.parametrize("content", ["", "no JSON", "[[1, 2]]", '{"a": 1}', "null"])
def test_damaged_memory_of_digests_is_read_anew(
    finished: Path, edgetl: Edgetl, content: str
) -> None:
    (finished / ".edgetl" / "digests.json").write_text(content)
    done = edgetl(finished, "plan", "recipe.yaml")
    assert done.returncode == 0, done.stderr
    assert "0 to run, 12 to reuse" in done.stdout


@pytest.mark.parametrize("content", ["", "no JSON", "[]"])
def test_damaged_record_of_runs_is_written_anew(
    finished: Path, edgetl: Edgetl, content: str
) -> None:
    record = finished / ".edgetl" / "runs" / "tiny.json"
    record.write_text(content)
    said = _damaged(edgetl(finished, "prune"))
    assert "tiny.json" in said
    assert "run the recipe again" in said
    assert edgetl(finished, "run", "recipe.yaml").returncode == 0
    assert "0 folders removed" in edgetl(finished, "prune").stdout
