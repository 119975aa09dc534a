"""A package outside edgetl adds a task with its device half, and no file of edgetl knows it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Done = subprocess.CompletedProcess[str]
Edgetl = Callable[..., Done]

_PACKAGE = Path(__file__).parent / "outside_package"
_ENTRY_POINTS = "acme_edge-0.1.dist-info/entry_points.txt"
_ENTRIES = (_PACKAGE / _ENTRY_POINTS).read_text(encoding="utf-8")
_RECIPE = """\
name: shades
task: grading
data: {path: images, val: 0.2, test: 0.3, seed: 0}
input: {size: 32, fit: stretch}
teacher: {family: patch_grade, weights: none}
finetune: {strategy: slow-stem, epochs: 12, beta: 0.5}
benchmark: {seconds: 0.02, count: 20, rounds: 4, most_rounds: 4}
calibration: tiny
targets: [host]
"""
_TARGET = """\
name: host
description: the machine that runs the tests
device: local
threads: 1
candidates:
  npz: [fp32]
limits: {drop_pp: 1}
"""
_OWNER = "acme-edge 0.1"
_GRADES = ("dark", "grey", "light")


def _with(package: Path) -> dict[str, str]:
    """Return the environment in which `package` is installed."""
    paths = (str(package), os.environ.get("PYTHONPATH"))
    return {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


@pytest.fixture(scope="module")
def graded(
    edgetl: Edgetl,
    write_files: Callable[[Path, str], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Done]:
    """Return a folder in which a recipe of the task ran, and what the run printed."""
    folder = tmp_path_factory.mktemp("graded")
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for number in range(60):
        grade = number % len(_GRADES)
        pixels = rng.integers(0, 60, (16, 16, 3), np.uint8) + np.uint8(80 * grade)
        Image.fromarray(pixels).save(folder / "images" / f"{number:02}.png")
        rows.append(f"{number:02}.png,{_GRADES[grade]}")
    (folder / "images" / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    write_files(folder, _RECIPE)
    (folder / "targets" / "host.yaml").write_text(_TARGET, encoding="utf-8")
    done = edgetl(folder, "run", "recipe.yaml", **_with(_PACKAGE))
    assert done.returncode == 0, done.stderr
    return folder, done


def test_recipe_of_the_task_runs_and_nodes_record_its_version(graded: tuple[Path, Done]) -> None:
    folder, done = graded
    assert "patch_grade  closeness 0." in done.stdout
    assert "held by npz fp32" in done.stdout
    for path in (folder / ".edgetl" / "artifacts").glob("*/*/manifest.json"):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest["stage"] not in {"benchmark", "package"}:
            assert manifest["plugins"]["task grading"] == f"1, {_OWNER}"


def test_bundle_predicts_where_the_package_is_not_installed(graded: tuple[Path, Done]) -> None:
    bundle = graded[0] / "dist" / "host"
    files = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))["files"]
    halves = {f"edgetl/runtime/tasks/{name}" for name in ("grading.py", "_nearest_grade.py")}
    assert halves <= set(files)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    image = graded[0] / "images" / "02.png"
    for words in (["check", "."], ["predict", ".", str(image), "--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "edgetl.runtime", *words],
            cwd=bundle,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert row["label"] == _GRADES[round(min(max(row["grade"], 0), 2))]


def test_bundle_is_checked_by_the_predictions_of_its_device(
    graded: tuple[Path, Done], edgetl: Edgetl
) -> None:
    words = ("check", "recipe.yaml", "--target", "host", "--seconds", "0.02", "--json")
    done = edgetl(graded[0], *words, **_with(_PACKAGE))
    assert done.returncode == 0, done.stdout + done.stderr
    cases = {case["name"]: case for case in json.loads(done.stdout)["cases"]}
    manifest = json.loads((graded[0] / "dist" / "host" / "manifest.json").read_text())
    assert cases["accuracy"]["provenance"] == "measured"
    assert cases["accuracy"]["figures"] == {
        "closeness": pytest.approx(manifest["accuracy"]["value"]),
        "images": 18,
    }


def test_report_shows_the_figures_of_the_task(graded: tuple[Path, Done], edgetl: Edgetl) -> None:
    out = graded[0] / "page.html"
    done = edgetl(graded[0], "report", "recipe.yaml", "--out", str(out), **_with(_PACKAGE))
    assert done.returncode == 0, done.stderr
    assert '<th scope="col" class="number">closeness</th>' in out.read_text(encoding="utf-8")


def test_task_that_nothing_brings_is_refused_with_the_closest_one(
    graded: tuple[Path, Done], edgetl: Edgetl
) -> None:
    done = edgetl(graded[0], "plan", "recipe.yaml")
    assert done.returncode == 3
    known = "must be 'classification' or 'detection'"
    assert f"recipe.yaml:2: task: is 'grading'; {known}\n" in done.stderr
    (graded[0] / "typo.yaml").write_text(_RECIPE.replace("grading", "gradin"), encoding="utf-8")
    done = edgetl(graded[0], "plan", "typo.yaml", **_with(_PACKAGE))
    assert done.returncode == 3
    known = "must be 'classification', 'detection' or 'grading'"
    assert f"typo.yaml:2: task: is 'gradin'; did you mean 'grading'? {known}\n" in done.stderr


def test_limit_and_method_of_another_task_are_refused(
    graded: tuple[Path, Done], edgetl: Edgetl, tmp_path: Path
) -> None:
    folder = shutil.copytree(graded[0], tmp_path / "project")
    (folder / "targets" / "host.yaml").write_text(_TARGET.replace("drop_pp: 1", "top1: 0.5"))
    text = f"{_RECIPE}student: {{family: patch_grade}}\ndistill: {{method: dkd}}\n"
    (folder / "recipe.yaml").write_text(text, encoding="utf-8")
    done = edgetl(folder, "plan", "recipe.yaml", **_with(_PACKAGE))
    assert done.returncode == 3
    assert (
        "distill.method: distillation method 'dkd' is for `task: classification`; known for "
        "`task: grading`: logit-distance"
    ) in done.stderr
    (folder / "recipe.yaml").write_text(_RECIPE, encoding="utf-8")
    done = edgetl(folder, "plan", "recipe.yaml", **_with(_PACKAGE))
    assert done.returncode == 3
    assert (
        "targets/host.yaml: limits.top1 is for classification; grading has no limit of accuracy"
    ) in done.stderr


@pytest.mark.parametrize(
    ("files", "code", "message"),
    [
        pytest.param(
            {"acme_edge/grading/__init__.py": "1 / 0\n"},
            3,
            "task 'grading' of package 'acme-edge 0.1' cannot be imported: ZeroDivisionError: "
            "division by zero\n  update it (pip install --upgrade acme-edge), or remove it",
            id="broken",
        ),
        pytest.param(
            {"acme_edge/grading_on_device.py": "1 / 0\n"},
            4,
            "the device half of task 'grading' of package 'acme-edge 0.1' cannot be imported: "
            "division by zero\n  install what it needs, update it",
            id="broken device half",
        ),
        pytest.param(
            {_ENTRY_POINTS: _ENTRIES.replace("[edgetl.runtime_tasks]", "[edgetl.unknown]")},
            3,
            "recipe.yaml:2: task: 'grading' cannot be deployed: unknown device half of task "
            "'grading'; Known: classification, detection.",
            id="no device half",
        ),
    ],
)
def test_task_that_cannot_be_used_is_an_error_of_one_paragraph_for_those_who_use_it(
    graded: tuple[Path, Done],
    project: Path,
    edgetl: Edgetl,
    *,
    files: dict[str, str],
    code: int,
    message: str,
) -> None:
    package = shutil.copytree(_PACKAGE, project / "package")
    for name, text in files.items():
        (package / name).write_text(text, encoding="utf-8")
    done = edgetl(project, "plan", "recipe.yaml", **_with(package))
    assert done.returncode == 0, done.stderr
    done = edgetl(graded[0], "plan", "recipe.yaml", **_with(package))
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
