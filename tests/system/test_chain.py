"""One small run of the whole chain: what it hands over, and what later runs make of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Done = subprocess.CompletedProcess[str]
Edgetl = Callable[..., Done]
Digests = Callable[[Path], dict[str, str]]

_LABELS = (
    "index", "view", "finetune", "distill", "control", "compare", "export onnx",
    "quantize onnx int8", "benchmark local x1",
    "verify onnx fp32", "verify onnx int8", "package host",
)  # fmt: skip
_FRAMEWORKS = ("torch", "onnx", "onnxruntime", "openvino", "litert_torch", "numpy", "PIL")


def _made(done: Done) -> list[str]:
    """Return the labels of what a run did not reuse."""
    lines = [line for line in done.stdout.splitlines() if line.endswith((" s]", "[reused]"))]
    assert lines, done.stderr
    return [line[:28].strip() for line in lines if not line.endswith("[reused]")]


def _runtime(folder: Path, *words: str) -> Done:
    command = [sys.executable, "-m", "edgetl.runtime", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_run_tells_every_stage_and_prints_the_table(chain: tuple[Path, Done]) -> None:
    _, done = chain
    # Nodes that do not read each other may be done in any order.
    assert sorted(_made(done)) == sorted(_LABELS)
    head, *rows = done.stdout.partition("\n\n")[2].splitlines()
    assert head.split() == ["target", "candidate", "top-1", "drop", "pp", "p50", "ms", "p95", "ms",
                            "MiB", "verdict"]  # fmt: skip
    assert [row.split()[:3] for row in rows[:2]] == [
        ["host", "onnx", "fp32"],
        ["host", "onnx", "int8"],
    ]
    # Four rounds are too few to tell the two apart.
    chosen = "chosen: smallest of the fastest (no significant difference from onnx fp32)"
    assert [chosen in row for row in rows[:2]] == [False, True]
    assert rows[2].startswith("dist/host/")


def test_serial_run_reports_every_stage_in_the_order_of_the_plan(
    finished: Path, edgetl: Edgetl
) -> None:
    for stage in ("export", "quantize", "benchmark", "verify", "package"):
        shutil.rmtree(finished / ".edgetl" / "artifacts" / stage)
    done = edgetl(finished, "run", "recipe.yaml", "--executor", "serial")
    assert _made(done) == list(_LABELS)[6:]


def test_bundle_is_complete_and_answers_as_it_did_here(chain: tuple[Path, Done]) -> None:
    folder, _ = chain
    bundle = folder / "dist" / "host"
    names = {path.name for path in bundle.iterdir()}
    expected = {"model.onnx", "contract.json", "labels.txt", "golden.npz", "manifest.json"}
    assert names >= expected | {"edgetl"}
    done = _runtime(bundle, "check", ".")
    assert done.returncode == 0, done.stderr
    assert "reproduces its golden samples" in done.stdout


def test_bundle_predicts_what_was_verified(chain: tuple[Path, Done], edgetl: Edgetl) -> None:
    folder, _ = chain
    manifest = json.loads((folder / "dist" / "host" / "manifest.json").read_text("utf-8"))
    shown = json.loads(edgetl(folder, "show", "recipe.yaml", "--json").stdout)
    chosen = manifest["candidate"]
    label = f"verify {chosen['format']} {chosen['precision']}"
    verified = np.load(folder / shown[label]["folder"] / "predictions.npz")["logits"]
    index = json.loads((folder / shown["index"]["folder"] / "index.json").read_text("utf-8"))
    images = [f"images/{row[0]}" for row in index["splits"]["test"]]
    count = str(len(index["classes"]))
    done = _runtime(folder, "predict", "dist/host", *images, "--top", count, "--json")
    assert done.returncode == 0, done.stderr
    exponentials = np.exp(verified.astype(np.float64))
    softmax = exponentials / exponentials.sum(axis=1, keepdims=True)
    for row, expected in zip(json.loads(done.stdout), softmax, strict=True):
        found = {answer["label"]: answer["probability"] for answer in row["top"]}
        assert [found[name] for name in index["classes"]] == pytest.approx(expected, abs=1e-6)


def test_second_run_reuses_everything_and_imports_no_framework(finished: Path) -> None:
    script = (
        "import sys; sys.argv = ['edgetl', 'run', 'recipe.yaml']\n"
        "from edgetl.cli import main\n"
        "try:\n    main()\n"
        f"finally: print([name for name in {_FRAMEWORKS!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=finished, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert _made(done) == []
    assert done.stdout.count("[reused]") == len(_LABELS)
    assert done.stdout.endswith("[]\n")


def test_run_as_json_holds_every_figure_and_nothing_else(finished: Path, edgetl: Edgetl) -> None:
    done = edgetl(finished, "run", "recipe.yaml", "--json")
    content = json.loads(done.stdout)
    assert done.returncode == 0
    assert list(content["artifacts"]) == list(_LABELS[:-1])
    assert content["targets"]["host"]["verdict"] == "held"
    assert [row["candidate"] for row in content["targets"]["host"]["rows"]] == [
        {"model": "student", "format": "onnx", "precision": precision, "provider": "cpu"}
        for precision in ("fp32", "int8")
    ]


def test_plan_says_what_would_be_reused(finished: Path, edgetl: Edgetl) -> None:
    done = edgetl(finished, "plan", "recipe.yaml", "--json")
    assert {row["label"]: row["action"] for row in json.loads(done.stdout)} == dict.fromkeys(
        _LABELS, "reuse"
    )


def test_why_names_the_changed_field(finished: Path, edgetl: Edgetl) -> None:
    done = edgetl(finished, "why", "recipe.yaml", "--set", "distill.temperature=2.0")
    assert done.returncode == 0, done.stderr
    assert "settings.method.options.temperature: 4.0 -> 2.0" in done.stdout
    assert done.stdout.count("->") == 1
    assert [line.split()[1:] for line in done.stdout.splitlines()[:2]] == [["reused"]] * 2


def test_limit_nobody_can_hold_runs_only_package_and_takes_the_stale_bundle_away(
    finished: Path, edgetl: Edgetl
) -> None:
    target = finished / "targets" / "host.yaml"
    before = target.read_text(encoding="utf-8")
    target.write_text(before.replace("drop_pp: 100", "size_mib: 0.001"), encoding="utf-8")
    missed = edgetl(finished, "run", "recipe.yaml")
    assert missed.returncode == 5
    assert _made(missed) == ["package host"]
    assert "host: no bundle; no candidate meets size_mib; nearest is onnx int8: size 0." in (
        missed.stdout
    )
    assert not (finished / "dist" / "host").exists()

    target.write_text(before, encoding="utf-8")
    held = edgetl(finished, "run", "recipe.yaml")
    assert held.returncode == 0
    assert _made(held) == []
    assert _runtime(finished, "check", "dist/host").returncode == 0


def test_model_that_only_guesses_is_not_handed_over_on_the_default_limits(
    finished: Path, edgetl: Edgetl
) -> None:
    """After one epoch the student gives all 18 test images, 3 of each class, the same answer."""
    target = finished / "targets" / "host.yaml"
    lines = target.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith("limits:")]
    target.write_text("".join(kept), encoding="utf-8")
    done = edgetl(finished, "run", "recipe.yaml")
    assert done.returncode == 5
    assert _made(done) == ["package host"]
    reason = "top-1 0.167 is no better than always predicting 'bracket' (0.167)"
    assert done.stdout.count(f"rejected: {reason}") == 2
    assert (
        "host: no bundle; no candidate meets better_than_guessing; "
        f"nearest is onnx fp32: {reason}\n"
    ) in done.stdout
    assert not (finished / "dist" / "host").exists()


def test_target_without_a_device_is_unverified_and_shares_what_is_there(
    finished: Path, edgetl: Edgetl
) -> None:
    (finished / "targets" / "board.yaml").write_text(
        "name: board\ndescription: no way to reach it\ndevice: null\nthreads: 4\n"
        "candidates: {onnx: [int8]}\n"
        "limits: {drop_pp: 100, p95_ms: 50, better_than_guessing: false}\n",
        encoding="utf-8",
    )
    done = edgetl(finished, "run", "recipe.yaml", "--set", "targets=[host, board]")
    assert done.returncode == 5
    assert _made(done) == ["package board"]
    assert "dist/board/  onnx int8 (unverified: no device)" in done.stdout
    assert "not measured" in done.stdout
    manifest = json.loads((finished / "dist" / "board" / "manifest.json").read_text("utf-8"))
    assert manifest["verdict"] == "unverified"
    assert manifest["latency"] is None
    assert _runtime(finished, "check", "dist/board").returncode == 0


def test_moved_images_reuse_everything(finished: Path, edgetl: Edgetl) -> None:
    (finished / "elsewhere").mkdir()
    shutil.copytree(finished / "images", finished / "elsewhere" / "parts")
    shutil.rmtree(finished / "images")
    done = edgetl(finished, "run", "recipe.yaml", "--set", "data.path=elsewhere/parts")
    assert done.returncode == 0, done.stderr
    assert _made(done) == []


def test_zip_of_the_images_gives_the_same_dataset(
    finished: Path, edgetl: Edgetl, digests: Digests
) -> None:
    before = digests(finished)
    shutil.make_archive(str(finished / "parts"), "zip", finished / "images")
    shutil.rmtree(finished / "images")
    done = edgetl(finished, "run", "recipe.yaml", "--set", "data.path=parts.zip")
    assert done.returncode == 0, done.stderr
    assert set(_made(done)) <= {"index", "view"}
    assert digests(finished) == before


def test_project_moved_as_a_whole_reuses_everything(finished: Path, edgetl: Edgetl) -> None:
    moved = finished / "moved"
    for path in [*finished.iterdir()]:
        moved.mkdir(exist_ok=True)
        path.rename(moved / path.name)
    assert _made(edgetl(moved, "run", "recipe.yaml")) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_all_formats_and_precisions_are_made_and_judged(project: Path, edgetl: Edgetl) -> None:
    for package in ("openvino", "nncf", "litert_torch", "ai_edge_quantizer"):
        pytest.importorskip(package)
    target = project / "targets" / "host.yaml"
    target.write_text(
        target.read_text("utf-8").replace(
            "onnx: [fp32, int8]",
            "onnx: [fp32, int8, w8a16]\n  openvino: [fp32, fp16, int8]\n"
            "  tflite: [fp32, fp16, int8, w8a16]",
        ),
        encoding="utf-8",
    )
    done = edgetl(project, "run", "recipe.yaml", "--json")
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    rows = content["targets"]["host"]["rows"]
    assert len(rows) == 10
    assert sum(row["verdict"] == "chosen" for row in rows) == 1
    fp32 = [row for row in rows if row["candidate"]["precision"] == "fp32"]
    assert {row["breaks_at"] for row in fp32} == {None}
    assert len({row["value"] for row in fp32}) == 1
    assert _runtime(project, "check", "dist/host").returncode == 0
    assert _made(edgetl(project, "run", "recipe.yaml")) == []
