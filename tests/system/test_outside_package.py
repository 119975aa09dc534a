"""A package outside edgetl adds a plug-in of each kind, and no file of edgetl knows it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Done = subprocess.CompletedProcess[str]
Edgetl = Callable[..., Done]

_PACKAGE = Path(__file__).parent / "outside_package"
_RECIPE = """\
name: colours
task: classification
data: {path: images, val: 0.2, test: 0.3, seed: 0}
input: {size: 32, fit: stretch}
teacher: {family: patch_mean, weights: none, refine: [{sharpen: {factor: 3}}]}
finetune: {strategy: slow-stem, epochs: 2, stem_rate: 0.5}
student: {family: patch_mean, width: 0.5, refine: [{sharpen: }]}
distill: {method: logit-distance, epochs: 1, distance_weight: 0.5}
tally: {times: 3}
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
limits: {drop_pp: 100, better_than_guessing: false}
"""
_OWNER = "acme-edge 0.1"


def _path(*folders: Path) -> dict[str, str]:
    """Return the environment in which `folders` are installed."""
    path = os.pathsep.join(map(str, folders))
    return {"PYTHONPATH": os.pathsep.join(filter(None, (path, os.environ.get("PYTHONPATH"))))}


def _manifests(folder: Path) -> Mapping[str, dict[str, object]]:
    manifests = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in (folder / ".edgetl" / "artifacts").glob("*/*/manifest.json")
    ]
    return {manifest["label"]: manifest for manifest in manifests}


@pytest.fixture(scope="module")
def ran(
    edgetl: Edgetl,
    write_files: Callable[[Path, str], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Done]:
    """Return a folder in which a recipe ran that uses the package, and what the run printed."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for number in range(40):
        pixels = rng.integers(0, 80, (16, 16, 3), np.uint8)
        pixels[:, :, number % 2] += 150
        name = f"{number:02}.png"
        Image.fromarray(pixels).save(folder / "images" / name)
        rows.append(f"{name},{('red', 'green')[number % 2]}")
    (folder / "images" / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    write_files(folder, _RECIPE)
    (folder / "targets" / "host.yaml").write_text(_TARGET, encoding="utf-8")
    done = edgetl(folder, "run", "recipe.yaml", **_path(_PACKAGE))
    assert done.returncode == 0, done.stderr
    return folder, done


def test_recipe_runs_with_the_plugins_of_the_package(ran: tuple[Path, Done]) -> None:
    _, done = ran
    assert "export npz" in done.stdout
    assert "held by npz fp32" in done.stdout
    assert "6 classes" in done.stdout


def test_nodes_record_the_plugins_that_they_load_with_the_package(ran: tuple[Path, Done]) -> None:
    plugins = {label: manifest["plugins"] for label, manifest in _manifests(ran[0]).items()}
    task = {"task classification": "1"}
    own_family = {"model family patch_mean": f"1, {_OWNER}"}
    family = own_family | task
    engine = {"engine npz": f"1, {_OWNER}"}
    strategy = {"strategy slow-stem": f"1, {_OWNER}"}
    method = {"distillation method logit-distance": f"1, {_OWNER}"}
    assert plugins == {
        "index": {"data layout label_table": f"1, {_OWNER}"} | task,
        "view": task,
        "tally": {},
        "finetune": strategy | family,
        "sharpen teacher 1": own_family,
        "distill": method | family,
        "sharpen student 1": own_family,
        "control": family,
        "compare": family,
        "evaluate teacher": family,
        "evaluate student": family,
        "export npz": {"exporter npz": f"1, {_OWNER}"} | engine | family,
        "verify npz fp32": engine | family,
        "benchmark local x1": {},
        "package host": {},
    }


def test_report_has_the_section_of_the_package_and_every_step_of_the_chains(
    ran: tuple[Path, Done], edgetl: Edgetl
) -> None:
    out = ran[0] / "page.html"
    done = edgetl(ran[0], "report", "recipe.yaml", "--json", "--out", str(out), **_path(_PACKAGE))
    assert done.returncode == 0, done.stderr
    text = out.read_text(encoding="utf-8")
    assert '<li><a href="#tally">Tally</a></li>' in text
    assert "<h2>Tally</h2>\n<p>6 classes were counted.</p>\n</section>" in text
    chains = json.loads(done.stdout)["chains"]
    steps = {chain["model"]: [step["stage"] for step in chain["steps"]] for chain in chains}
    assert steps == {"teacher": ["finetune", "sharpen"], "student": ["distill", "sharpen"]}


def test_bundle_runs_where_the_package_is_not_installed(ran: tuple[Path, Done]) -> None:
    bundle = ran[0] / "dist" / "host"
    files = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))["files"]
    assert {f"edgetl/runtime/engines/{name}" for name in ("npz.py", "_patch_mean.py")} <= set(files)
    command = [sys.executable, "-m", "edgetl.runtime", "check", "."]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=bundle, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "the bundle reproduces its golden samples" in done.stdout


def test_second_run_reuses_everything_and_a_new_version_remakes_what_loads_it(
    ran: tuple[Path, Done], edgetl: Edgetl, tmp_path: Path
) -> None:
    folder = shutil.copytree(ran[0], tmp_path / "project")
    package = shutil.copytree(_PACKAGE, tmp_path / "package")
    done = edgetl(folder, "run", "recipe.yaml", **_path(package))
    lines = [line for line in done.stdout.splitlines() if line.endswith((" s]", "[reused]"))]
    assert lines
    assert all(line.endswith("[reused]") for line in lines), done.stdout

    exporter = package / "acme_edge" / "exporter.py"
    text = exporter.read_text(encoding="utf-8")
    exporter.write_text(text.replace("version: int = 1", "version: int = 2"), encoding="utf-8")
    done = edgetl(folder, "why", "recipe.yaml", "--json", **_path(package))
    why = {row["label"]: row for row in json.loads(done.stdout)}
    run_again = {label for label, row in why.items() if row["text"] != "reused"}
    assert run_again == {
        "export npz", "verify npz fp32", "benchmark local x1", "package host"
    }  # fmt: skip
    assert why["export npz"]["changes"] == [
        {"field": "plugins.exporter npz", "before": f"1, {_OWNER}", "now": f"2, {_OWNER}"}
    ]
    # The same bytes again, so that nothing after the export runs.
    done = edgetl(folder, "run", "recipe.yaml", **_path(package))
    made = [line[:28].strip() for line in done.stdout.splitlines() if line.endswith(" s]")]
    assert made == ["export npz"]


def test_recipe_without_the_package_names_what_is_unknown(
    ran: tuple[Path, Done], edgetl: Edgetl
) -> None:
    done = edgetl(ran[0], "plan", "recipe.yaml")
    assert done.returncode == 3
    for unknown in (
        "recipe.yaml:6: finetune.strategy: unknown strategy 'slow-stem'",
        "recipe.yaml:8: distill.method: unknown distillation method 'logit-distance'",
        "recipe.yaml:9: tally: unknown key",
    ):
        assert unknown in done.stderr
    text = "".join(
        line
        for line in _RECIPE.splitlines(keepends=True)
        if not line.startswith(("finetune", "distill", "tally"))
    )
    (ran[0] / "plain.yaml").write_text(text, encoding="utf-8")
    done = edgetl(ran[0], "plan", "plain.yaml")
    assert done.returncode == 3
    assert "plain.yaml:5: teacher.refine.0: unknown refining stage 'sharpen'" in done.stderr
    (ran[0] / "plain.yaml").write_text(re.sub(", refine: .*]", "", text), encoding="utf-8")
    done = edgetl(ran[0], "plan", "plain.yaml")
    assert done.returncode == 3
    assert "unknown format 'npz'" in done.stderr


@pytest.mark.parametrize(
    ("files", "code", "message"),
    [
        pytest.param(
            {"acme_edge/exporter.py": "import package_that_is_nowhere\n"},
            4,
            "exporter 'npz' of package 'acme-edge 0.1' needs the package 'package_that_is_nowhere'"
            ", which is not installed\n  pip install package_that_is_nowhere",
            id="missing package",
        ),
        pytest.param(
            {"acme_edge/engine.py": "1 / 0\n"},
            3,
            "engine 'npz' of package 'acme-edge 0.1' cannot be imported: ZeroDivisionError: "
            "division by zero\n  update it (pip install --upgrade acme-edge), or remove it "
            "(pip uninstall acme-edge)",
            id="broken",
        ),
        pytest.param(
            {"acme_edge/stage.py": "1 / 0\n"},
            3,
            "stage 'tally' of package 'acme-edge 0.1' cannot be imported: ZeroDivisionError",
            id="broken stage",
        ),
        pytest.param(
            {"acme_edge-0.1.dist-info/entry_points.txt": "[edgetl.engines]\nonnx = acme_edge\n"},
            3,
            "engine 'onnx' is defined by edgetl and by acme-edge 0.1\n  a name belongs to one "
            "package: run 'pip uninstall acme-edge', or ask its authors for another name",
            id="shadowing",
        ),
    ],
)
def test_package_that_cannot_be_used_is_an_error_of_one_paragraph_for_those_who_use_it(
    project: Path, edgetl: Edgetl, files: dict[str, str], code: int, message: str
) -> None:
    package = shutil.copytree(_PACKAGE, project / "package")
    for name, text in files.items():
        (package / name).write_text(text, encoding="utf-8")
    target = project / "targets" / "host.yaml"
    if "onnx" not in message:
        # The recipe of the project uses nothing of the package, and is planned as ever.
        done = edgetl(project, "plan", "recipe.yaml", **_path(package))
        assert done.returncode == 0, done.stderr
        target.write_text(target.read_text().replace("onnx: [fp32, int8]", "npz: [fp32]"))
        with (project / "recipe.yaml").open("a", encoding="utf-8") as recipe:
            recipe.write("tally: {times: 3}\n" if "stage" in message else "")
    done = edgetl(project, "plan", "recipe.yaml", **_path(package))
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
