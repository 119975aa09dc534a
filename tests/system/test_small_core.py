"""`pip install edgetl` alone: small, quick to import, and enough for a runner beside a board."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from edgetl import __version__
from edgetl.estimator.cost import USUAL_NS
from edgetl.estimator.cost_profile import CostProfile, Fit, NetworkRow, save_profile
from edgetl.types import Precision

Done = subprocess.CompletedProcess[str]
Environment = Callable[[Path, Sequence[str]], Path]

_FRAMEWORKS = (
    "torch", "torchvision", "lightning_fabric", "tensorboard", "safetensors", "onnx", "onnxscript",
    "onnxruntime", "openvino", "nncf", "ai_edge_litert", "litert_torch", "scipy",
)  # fmt: skip
_MEGABYTE = 1_000_000
_LARGEST_MEGABYTES = 150
_LONGEST_IMPORT_S = 0.15


@pytest.fixture(scope="module")
def core(install: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with `edgetl[ssh]` and nothing else."""
    return install(tmp_path_factory.mktemp("core") / "venv", ["asyncssh"])


@pytest.fixture
def call(core: Path, outside: Callable[..., Done], tmp_path: Path) -> Callable[..., Done]:
    """Return what runs `edgetl WORDS` there, in a folder, from a home without keys."""
    home = tmp_path / "home"
    home.mkdir()

    def run(folder: Path, *words: str) -> Done:
        command = core.parent / "edgetl"
        return outside(command, *words, folder=folder, HOME=str(home), SSH_AUTH_SOCK="")

    return run


def test_nothing_but_the_declared_packages_is_there(
    core: Path, outside: Callable[..., Done], tmp_path: Path
) -> None:
    script = (
        "from importlib.util import find_spec\n"
        f"print([name for name in {_FRAMEWORKS!r} if find_spec(name)])\n"
    )
    assert outside(core, "-c", script, folder=tmp_path).stdout == "[]\n"


def test_installed_size_is_small(core: Path) -> None:
    sizes = _installed_megabytes(core)
    assert {"edgetl", "edgetl-runtime", "numpy", "pydantic", "asyncssh"} <= set(sizes)
    assert sum(sizes.values()) <= _LARGEST_MEGABYTES


def _installed_megabytes(python: Path) -> dict[str, float]:
    """Return the size of every distribution in the environment of `python`, without bytecode."""
    (site,) = python.parents[1].glob("lib/python*/site-packages")
    sizes: dict[str, float] = {}
    for distribution in metadata.distributions(path=[str(site)]):
        files = [Path(str(file.locate())) for file in distribution.files or []]
        counted = [file for file in files if file.is_file() and file.suffix != ".pyc"]
        name = str(distribution.metadata["Name"]).lower()
        sizes[name] = sum(file.stat().st_size for file in counted) / _MEGABYTE
    return sizes


def test_import_is_quick(core: Path, outside: Callable[..., Done], tmp_path: Path) -> None:
    totals = []
    for _ in range(5):
        done = outside(core, "-X", "importtime", "-c", "import edgetl", folder=tmp_path)
        (line,) = (each for each in done.stderr.splitlines() if each.endswith("| edgetl"))
        totals.append(int(line.split("|")[1]) / 1e6)
    assert min(totals) <= _LONGEST_IMPORT_S


def test_plan_checks_a_recipe(call: Callable[..., Done], project: Path) -> None:
    planned = call(project, "plan", "recipe.yaml")
    assert planned.returncode == 0, planned.stderr
    assert "no problems found" in planned.stdout
    assert "pip install 'edgetl[train,onnx]'" in planned.stdout


def test_bundle_is_checked_on_a_board_over_ssh(
    call: Callable[..., Done],
    finished: Path,
    server: Any,
    tmp_path_factory: pytest.TempPathFactory,
    quieten: Callable[[Path], None],
) -> None:
    quieten(finished / "dist" / "host")
    address = server.address(cache=tmp_path_factory.mktemp("cache"))
    words = ("--target", "host", "--device", address, "--seconds", "0.05")
    done = call(finished, "check", "recipe.yaml", *words, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    facts = json.loads(done.stdout)
    assert (facts["verdict"], facts["provenance"]) == ("passed", "measured")
    cases = {case["name"]: case["status"] for case in facts["cases"]}
    assert cases["golden samples"] == cases["accuracy"] == "passed"

    compared = call(finished, "targets", "check", "host", "--device", address)
    assert compared.returncode == 0, compared.stdout + compared.stderr

    recorded = call(
        finished, "baseline", "update", "dist/host", "--device", address, "--seconds", "0.05"
    )
    assert recorded.returncode == 0, recorded.stdout + recorded.stderr
    assert json.loads((finished / "baseline.json").read_text())["target"] == "host"


def test_finished_run_is_reported(call: Callable[..., Done], finished: Path) -> None:
    done = call(finished, "report", "recipe.yaml", "--out", "report.html", "--markdown")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("## tiny")
    assert "</html>" in (finished / "report.html").read_text(encoding="utf-8")


def test_targets_are_listed_and_shown(call: Callable[..., Done], tmp_path: Path) -> None:
    assert "rpi4" in call(tmp_path, "targets").stdout
    shown = call(tmp_path, "targets", "show", "rpi4", "--json")
    assert json.loads(shown.stdout)["name"] == "rpi4"


def test_estimate_names_the_extra_that_reads_the_file(
    call: Callable[..., Done], finished: Path
) -> None:
    (finished / "profiles").mkdir()
    _profile(finished / "profiles" / "host.json")
    done = call(finished, "estimate", "dist/host", "--target", "host")
    assert done.returncode == 4
    assert done.stderr == (
        "edgetl: .onnx files need the package 'onnx', which is not installed\n"
        "  pip install 'edgetl[onnx]'\n"
    )


def test_estimate_needs_that_extra_and_no_torch(
    install: Environment,
    outside: Callable[..., Done],
    finished: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    python = install(tmp_path_factory.mktemp("onnx") / "venv", ["onnx", "onnxruntime"])
    assert "No module named" in outside(python, "-c", "import torch", folder=finished).stderr
    (finished / "profiles").mkdir()
    _profile(finished / "profiles" / "host.json")
    done = outside(
        *(python.parent / "edgetl", "estimate", "dist/host", "--target", "host", "--json"),
        folder=finished,
    )
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert (row["model"], row["format"], row["provenance"]) == ("dist/host", "onnx", "estimated")
    assert row["ms"] > 0.0


def _profile(path: Path) -> None:
    """Write a profile in which ONNX files are priced as usual."""
    row = NetworkRow(name="dense", ms=1.0, fitted_ms=1.0, held_out_ms=1.0, disturbed=False)
    fits = tuple(
        Fit(
            format="onnx",
            precision=precision,
            engine="onnxruntime 1.31",
            lane=8,
            ns=dict(USUAL_NS),
            band=1.25,
            coverage=0.9,
            largest={},
            networks=(row,),
        )
        for precision in (Precision.FP32, Precision.INT8)
    )
    host: dict[str, str | int | None] = {"processor": "Core"}
    save_profile(
        CostProfile(edgetl=__version__, device="local", threads=1, host=host, fits=fits), path
    )


def test_python_api_plans_and_names_what_a_run_needs(
    core: Path, outside: Callable[..., Done], project: Path
) -> None:
    script = (
        "import edgetl\n"
        "planned = edgetl.plan('recipe.yaml')\n"
        "print(len(planned.to_run) > 5, planned.missing[0].requirement)\n"
        "try:\n"
        "    edgetl.run('recipe.yaml')\n"
        "except edgetl.EdgetlError as error:\n"
        "    print(error.remedy)\n"
    )
    done = outside(core, "-c", script, folder=project)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "True edgetl[train]\npip install 'edgetl[train,onnx]'\n"


@pytest.fixture
def device(
    environment: Environment,
    wheels: tuple[Path, Path],
    pip: Callable[..., None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The Python of an environment with edgetl-runtime and one engine."""
    folder = tmp_path_factory.mktemp("device")
    python = environment(folder / "venv", ["numpy", "pillow", "onnxruntime"])
    pip(python, "install", "--no-deps", "--no-index", wheels[0])
    return python


def test_runtime_alone_loads_a_bundle_and_names_what_the_rest_needs(
    device: Path, outside: Callable[..., Done], finished: Path
) -> None:
    script = (
        "import edgetl\n"
        "print(edgetl.load('dist/host').contract.task)\n"
        "for name in ('run', 'EdgetlError', 'PluginInfo', 'list_families'):\n"
        "    try:\n"
        "        getattr(edgetl, name)\n"
        "    except ImportError as error:\n"
        "        print(error)\n"
    )
    done = outside(device, "-c", script, folder=finished)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "classification\n" + "".join(
        f"edgetl.{name} needs the package 'edgetl', and only 'edgetl-runtime' is installed\n"
        "  pip install edgetl\n"
        for name in ("run", "EdgetlError", "PluginInfo", "list_families")
    )


def test_type_checkers_see_the_types_of_an_installed_edgetl(
    core: Path, outside: Callable[..., Done], tmp_path: Path
) -> None:
    pytest.importorskip("mypy", reason="edgetl[dev] is not installed")
    (tmp_path / "mine.py").write_text(
        "import edgetl\n"
        "reveal_type(edgetl.run('recipe.yaml').targets['host'].verdict)\n"
        "edgetl.plan(3)\n"
    )
    done = outside(
        *(sys.executable, "-m", "mypy", "--python-executable", core, "--no-incremental"),
        *("--config-file", "", "mine.py"),
        folder=tmp_path,
    )
    assert 'Revealed type is "edgetl.facts.package.Outcome"' in done.stdout
    assert re.search(r'mine.py:3: error: Argument 1 to "plan" has incompatible type', done.stdout)
