"""A recipe that imports what another one trained deploys the very same model."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgetl.hashing import digest_file

Done = subprocess.CompletedProcess[str]
Edgetl = Callable[..., Done]

_FRAMEWORKS = ("torch", "safetensors", "numpy")
_RECIPE = """\
name: imported
task: classification
data: {path: images, val: 0.2, test: 0.3, seed: 0}
model: {path: saved}
benchmark: {seconds: 0.02, count: 20, rounds: 4, most_rounds: 4}
calibration: tiny
targets: [host]
"""


def _project(folder: Path, chain: Path, edgetl: Edgetl) -> Path:
    """Copy a folder after a run to `folder`, with its student in `saved`, and return it."""
    shutil.copytree(chain, folder, dirs_exist_ok=True)
    shutil.copytree(_folder(folder, edgetl, "recipe.yaml", "distill"), folder / "saved")
    (folder / "imported.yaml").write_text(_RECIPE, encoding="utf-8")
    return folder


def _folder(project: Path, edgetl: Edgetl, recipe: str, label: str) -> Path:
    """Return the folder of an artifact of the last run of `recipe`."""
    shown = json.loads(edgetl(project, "show", recipe, "--json").stdout)
    place: str = shown[label]["folder"]
    return project / place


@pytest.fixture
def project(tmp_path: Path, chain: tuple[Path, Done], edgetl: Edgetl) -> Path:
    """Return a folder with a saved model and a recipe that imports it."""
    return _project(tmp_path, chain[0], edgetl)


@pytest.fixture(scope="module")
def ran(
    tmp_path_factory: pytest.TempPathFactory, chain: tuple[Path, Done], edgetl: Edgetl
) -> tuple[Path, Done]:
    """Return such a folder after a run of that recipe, to look at, and what the run printed."""
    folder = _project(tmp_path_factory.mktemp("imported"), chain[0], edgetl)
    done = edgetl(folder, "run", "imported.yaml", "--executor", "serial")
    assert done.returncode == 0, done.stderr
    return folder, done


def test_run_trains_nothing(ran: tuple[Path, Done]) -> None:
    rows = [line for line in ran[1].stdout.splitlines() if line.endswith("]")]
    lines = {line[:28].strip(): line for line in rows}
    assert list(lines) == [
        "index", "view", "import model", "export onnx", "quantize onnx int8",
        "benchmark local x1", "verify onnx fp32",
        "verify onnx int8", "package host",
    ]  # fmt: skip
    # The model sees the images as the student did, which the other recipe alone states.
    assert [lines[label].endswith("[reused]") for label in ("index", "view")] == [True, True]
    assert lines["import model"].split()[2:6] == ["mobilenet_v2", "x0.1", "top-1", "0.167"]


@pytest.mark.parametrize(
    ("trained", "imported", "names"),
    [
        pytest.param(
            "distill",
            "import model",
            ("model.json", "model.safetensors", "predictions.npz"),
            id="torch",
        ),
        pytest.param("export onnx", "export onnx", ("model.onnx",), id="float"),
        pytest.param("quantize onnx int8", "quantize onnx int8", ("model.onnx",), id="int8"),
        pytest.param("verify onnx fp32", "verify onnx fp32", ("predictions.npz",), id="verify"),
    ],
)
def test_files_are_those_of_the_run_that_trained_the_model(
    ran: tuple[Path, Done], edgetl: Edgetl, trained: str, imported: str, names: tuple[str, ...]
) -> None:
    first = _folder(ran[0], edgetl, "recipe.yaml", trained)
    second = _folder(ran[0], edgetl, "imported.yaml", imported)
    assert first != second
    for name in names:
        assert digest_file(first / name) == digest_file(second / name)


def test_bundle_names_the_chain_and_passes_the_gate(ran: tuple[Path, Done], edgetl: Edgetl) -> None:
    bundle = ran[0] / "dist" / "host"
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    assert list(manifest["lineage"])[:2] == ["dataset", "model"]
    assert manifest["lineage"]["model"]["stage"] == "import_model"
    assert manifest["candidate"]["model"] == "model"
    assert manifest["accuracy"]["drop"]["against"] == "model"
    done = edgetl(ran[0], "check", "dist/host", "--target", "host", "--seconds", "0.02")
    assert done.returncode == 0, done.stdout + done.stderr


def test_report_shows_the_model_and_nothing_that_is_not_read(
    ran: tuple[Path, Done], edgetl: Edgetl
) -> None:
    done = edgetl(ran[0], "report", "imported.yaml", "--out", "page.html")
    assert done.returncode == 0, done.stderr
    page = (ran[0] / "page.html").read_text(encoding="utf-8")
    assert "<td>mobilenet_v2</td>" in page
    assert "<td>a saved model</td>" in page
    recipe = page[page.index("<h3>Recipe</h3>") :].partition("</pre>")[0]
    assert "path: saved" in recipe
    for unread in ("input:", "finetune:", "distill:"):
        assert f"\n{unread}" not in recipe


def test_why_names_the_file_that_changed(
    ran: tuple[Path, Done], edgetl: Edgetl, tmp_path: Path
) -> None:
    project = shutil.copytree(ran[0], tmp_path, dirs_exist_ok=True)
    spec = project / "saved" / "model.json"
    spec.write_text(spec.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    done = edgetl(project, "why", "imported.yaml", "import model")
    assert done.returncode == 0, done.stderr
    assert "settings.files.model.json: " in done.stdout
    assert done.stdout.count("->") == 1


def test_plan_reads_the_model_without_a_framework(project: Path, edgetl: Edgetl) -> None:
    assert edgetl(project, "plan", "imported.yaml").returncode == 0  # reads the images, too
    script = (
        "import sys; sys.argv = ['edgetl', 'plan', 'imported.yaml']\n"
        "from edgetl.cli import main\n"
        "try:\n    main()\n"
        f"finally: print([name for name in {_FRAMEWORKS} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    *_, counts, duration, modules = done.stdout.splitlines()
    assert (counts, modules) == ("7 to run, 2 to reuse; no problems found", "[]")
    assert duration.endswith("going by earlier steps in this store; not known of import model")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param(
            ("model.path=dist/host",),
            "--set model.path=dist/host: model.path: 'DIST' has no model.json and no "
            "model.safetensors; name a folder in which edgetl saved a model",
            id="bundle",
        ),
        pytest.param(
            ("teacher={family: mobilenet_v2}",),
            "imported.yaml:4: model: takes the place of `teacher`, which the recipe has as well; "
            "remove one or the other",
            id="teacher",
        ),
        pytest.param(
            ("model=null",),
            "imported.yaml: teacher: is missing; a recipe trains a `teacher: {family: NAME}`, or "
            "takes a model that edgetl saved, `model: {path: FOLDER}`",
            id="no model",
        ),
        pytest.param(
            ("input.size=64",),
            "--set input.size=64: input.size: is 64, but `model` was trained with 32; remove it, "
            "as a saved model brings its own input",
            id="input",
        ),
    ],
)
def test_recipe_that_does_not_fit_is_refused_in_one_paragraph(
    project: Path, edgetl: Edgetl, changes: tuple[str, ...], message: str
) -> None:
    words = [word for change in changes for word in ("--set", change)]
    done = edgetl(project, "plan", "imported.yaml", *words)
    assert done.returncode == 3
    assert message.replace("DIST", str(project / "dist" / "host")) in done.stderr
    assert "Traceback" not in done.stderr


def test_data_of_other_classes_are_refused_when_they_are_known(
    project: Path, edgetl: Edgetl
) -> None:
    (project / "images" / "gear").rename(project / "images" / "wheel")
    done = edgetl(project, "run", "imported.yaml")
    assert done.returncode == 3
    assert (
        "are not those of the data, in their order: only the model has 'gear'; only the data have "
        "'wheel'\n  set `model.path` to a model of these classes"
    ) in done.stderr
