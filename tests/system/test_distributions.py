"""Two distributions share the package `edgetl`, and the small install works without torch."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from edgetl import __version__
from edgetl.hashing import digest_file

Done = subprocess.CompletedProcess[str]
Environment = Callable[[Path, Sequence[str]], Path]

_TREE = Path(__file__).parents[2]
_RUNTIME_TREE = _TREE / "distributions" / "runtime"
_TRAINING = ("torch", "torchvision", "lightning_fabric", "tensorboard", "safetensors")

pytest.importorskip("hatchling", reason="edgetl[dev] is not installed")


def _names(wheel: Path) -> set[str]:
    """Return what a wheel installs, but for what describes the distribution."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_every_file_belongs_to_one_distribution(wheels: tuple[Path, Path]) -> None:
    runtime, edgetl = map(_names, wheels)
    assert not runtime & edgetl
    sources = {path.relative_to(_TREE).as_posix() for path in (_TREE / "edgetl").rglob("*.py")}
    of_runtime = {name for name in sources if name.startswith("edgetl/runtime/")}
    assert runtime == of_runtime | {"edgetl/__init__.py", "edgetl/py.typed"}
    assert {name for name in edgetl if name.endswith(".py")} == sources - runtime
    assert {"edgetl/targets/host.yaml", "edgetl/calibration/balanced-256.yaml"} <= edgetl
    assert {"edgetl/recipes/parts.yaml", "edgetl/report/templates/report.html"} <= edgetl


def test_edgetl_needs_exactly_its_own_runtime_and_no_framework(
    wheels: tuple[Path, Path], requirements: Callable[[Path], list[str]]
) -> None:
    runtime, edgetl = map(requirements, wheels)
    assert f"edgetl-runtime=={__version__}" in edgetl
    plain = {re.split(r"[^a-z-]", line)[0] for line in edgetl if "; extra" not in line}
    assert not plain & {"torch", "torchvision", "onnx", "onnxruntime", "openvino", "tensorboard"}
    assert [line for line in runtime if "extra" not in line] == ["numpy>=1.21", "pillow>=9.1"]
    extras = {line.partition("extra == ")[2] for line in runtime if "extra" in line}
    assert extras == {"'onnx'", "'openvino'", "'tflite'"}
    assert len([line for line in runtime if "extra" in line]) == 3  # one engine each


def test_both_carry_the_license() -> None:
    assert digest_file(_RUNTIME_TREE / "LICENSE") == digest_file(_TREE / "LICENSE")


@pytest.mark.parametrize("tree", [_RUNTIME_TREE, _TREE], ids=["runtime", "edgetl"])
def test_source_distribution_makes_the_same_wheel(
    tree: Path,
    wheels: tuple[Path, Path],
    build: Callable[[Path, Path], Path],
    tmp_path: Path,
) -> None:
    command = (sys.executable, "-m", "hatchling", "build", "--target", "sdist")
    done = subprocess.run(
        [*command, "--directory", str(tmp_path)], cwd=tree, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(tmp_path, filter="data")
    wheel = build(tmp_path / archive.name.removesuffix(".tar.gz"), tmp_path / "wheel")
    assert wheel.read_bytes() == wheels[0 if tree is _RUNTIME_TREE else 1].read_bytes()


def _is_whole(python: Path, distribution: str) -> bool:
    """Return whether all files are there that `distribution` has installed."""
    (site,) = python.parents[1].glob("lib/python*/site-packages")
    (record,) = site.glob(f"{distribution}-*.dist-info/RECORD")
    with record.open(encoding="utf-8", newline="") as file:
        return all((site / row[0]).is_file() for row in csv.reader(file))


def test_either_can_be_removed_and_the_other_stays_whole(
    wheels: tuple[Path, Path],
    environment: Environment,
    pip: Callable[..., None],
    outside: Callable[..., Done],
    tmp_path: Path,
) -> None:
    python = environment(tmp_path / "venv", ["numpy", "pillow"])
    install = ("install", "--no-deps", "--no-index")
    pip(python, *install, *wheels)
    assert _is_whole(python, "edgetl")
    assert _is_whole(python, "edgetl_runtime")

    pip(python, "uninstall", "--yes", "edgetl")
    assert _is_whole(python, "edgetl_runtime")
    assert outside(python, "-m", "edgetl.runtime", "--help", folder=tmp_path).returncode == 0
    done = outside(python, "-c", "import edgetl; print(edgetl.__version__)", folder=tmp_path)
    assert done.stdout == f"{__version__}\n"
    assert (
        "No module named" in outside(python, "-c", "import edgetl.errors", folder=tmp_path).stderr
    )

    pip(python, *install, wheels[1])
    pip(python, "uninstall", "--yes", "edgetl-runtime")
    assert _is_whole(python, "edgetl")


@pytest.fixture(scope="module")
def plain(
    install: Environment,
    outside: Callable[..., Done],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Done]:
    """Return what runs `edgetl WORDS` in a folder, installed without extras but with an engine."""
    folder = tmp_path_factory.mktemp("plain")
    python = install(folder / "venv", ["onnxruntime"])
    for name in (*_TRAINING, "onnx", "openvino"):
        assert "No module named" in outside(python, "-c", f"import {name}", folder=folder).stderr
    return lambda place, *words: outside(python.parent / "edgetl", *words, folder=place)


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["targets"],
        ["targets", "show", "rpi4"],
        ["schema"],
        ["report", "--help"],
        ["estimate", "--help"],
        ["generate", "images", "--images", "60"],
    ],
    ids=" ".join,
)
def test_command_works_without_extras(
    plain: Callable[..., Done], tmp_path: Path, words: list[str]
) -> None:
    done = plain(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_plan_without_extras_checks_the_recipe_and_lists_what_a_run_needs(
    plain: Callable[..., Done], project: Path
) -> None:
    planned = plain(project, "plan", "recipe.yaml")
    assert planned.returncode == 0, planned.stderr
    needed = (
        "these packages are not installed: 'lightning-fabric', 'safetensors', 'tensorboard', "
        "'torch', 'torchvision' (edgetl[train]); 'onnx', 'onnxscript' (edgetl[onnx])\n"
        "  pip install 'edgetl[train,onnx]'\n"
    )
    unknown = "how long that takes is not known: no such step has run in this store"
    assert planned.stdout.endswith(
        f" to run, 0 to reuse; no problems found\n{unknown}\nfor a run: {needed}"
    )
    as_json = plain(project, "plan", "recipe.yaml", "--json")
    assert (as_json.returncode, as_json.stderr) == (0, f"for a run: {needed}")
    wrong = plain(project, "plan", "recipe.yaml", "--set", "finetune.epocs=1")
    assert (wrong.returncode, "epocs" in wrong.stderr) == (3, True)
    run = plain(project, "run", "recipe.yaml")
    assert (run.returncode, run.stderr) == (4, f"edgetl: {needed}")
    assert not list(project.glob(".edgetl/artifacts/*"))


@pytest.mark.parametrize(
    "words",
    [
        ["check", "dist/host", "--target", "host"],
        ["check", "recipe.yaml", "--target", "host"],
        ["predict", "dist/host", "dist/host/golden-0.png"],
        ["report", "recipe.yaml"],
        ["show", "recipe.yaml"],
        ["why", "recipe.yaml"],
    ],
    ids=" ".join,
)
def test_finished_run_is_used_without_extras(
    plain: Callable[..., Done], finished: Path, quieten: Callable[[Path], None], words: list[str]
) -> None:
    quieten(finished / "dist" / "host")
    done = plain(finished, *words)
    assert done.returncode == 0, done.stdout + done.stderr
