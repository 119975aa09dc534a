"""A tiny recipe folder, and whole commands on it, each in a process of its own."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from email import message_from_bytes
from pathlib import Path
from typing import Any

import onnx
import pytest

from edgetl import __version__
from edgetl.hashing import digest_folder
from edgetl.runtime.contract import Contract
from edgetl.runtime.model_files import describe_files

Done = subprocess.CompletedProcess[str]
Environment = Callable[[Path, Sequence[str]], Path]

_TREE = Path(__file__).parents[2]
_SSHD = Path(__file__).parents[1] / "devices" / "ssh" / "sshd.py"

# What a bundle's runtime sees of a machine that is busy with other tests.
_WATCH = """

from dataclasses import replace

_read = Watch.read
Watch.read = lambda self: replace(
    _read(self),
    steal_share=0.0,
    involuntary_switches=0,
    others_cores=0.0,
    frequency_mhz=(None, None),
    throttled=(),
)
"""

_RECIPE = """\
name: tiny
task: classification
data: {path: images, val: 0.2, test: 0.3, seed: 0}
input: {size: 32, fit: stretch}
teacher: {family: mobilenet_v3_small, width: 0.25, weights: none}
finetune: {strategy: full, epochs: 2}
student: {family: mobilenet_v2, width: 0.1}
distill: {epochs: 1, control: true}
benchmark: {seconds: 0.02, count: 20, rounds: 4, most_rounds: 4}
calibration: tiny
targets: [host]
"""
_CALIBRATION = """\
name: tiny
split: train
count: 12
sampling: balanced
"""
# A barely trained student guesses and may lose any accuracy in int8; limits are what some tests
# are about.
_TARGET = """\
name: host
description: the machine that runs the tests
device: local
threads: 1
candidates:
  onnx: [fp32, int8]
limits: {drop_pp: 100, better_than_guessing: false}
"""


def _edgetl(folder: Path, *words: str, **environment: str) -> Done:
    return subprocess.run(
        [sys.executable, "-m", "edgetl", *words],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def _digests(folder: Path) -> dict[str, str]:
    manifests = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((folder / ".edgetl" / "artifacts").glob("*/*/manifest.json"))
    ]
    return {manifest["label"]: manifest["digest"] for manifest in manifests}


@pytest.fixture(scope="session")
def edgetl() -> Callable[..., Done]:
    """Return what runs `python -m edgetl WORDS` in a folder; keywords are environment variables."""
    return _edgetl


def _seal(bundle: Path) -> None:
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    path.unlink()
    names = {name: each for name, each in digest_folder(bundle).items() if "__pyc" not in name}
    path.write_text(json.dumps(manifest | {"files": names}), encoding="utf-8")


def _quieten(bundle: Path) -> None:
    with (bundle / "edgetl" / "runtime" / "interference.py").open("a", encoding="utf-8") as code:
        code.write(_WATCH)
    _seal(bundle)


@pytest.fixture(scope="session")
def rebuild() -> Callable[[Path, Callable[[onnx.GraphProto], None]], str]:
    """Return what writes a bundle beside ``dist/host``, whose model has a change, and names it."""

    def write(folder: Path, change: Callable[[onnx.GraphProto], None]) -> str:
        name = change.__name__.strip("_")
        made = shutil.copytree(folder / "dist" / "host", folder / "dist" / name)
        model = onnx.load(made / "model.onnx")
        change(model.graph)
        onnx.checker.check_model(model)
        onnx.save(model, made / "model.onnx")
        files = describe_files(made, ["model.onnx"])
        dataclasses.replace(Contract.load(made), files=files).save(made)
        _seal(made)
        return f"dist/{name}"

    return write


@pytest.fixture(scope="session")
def quieten() -> Callable[[Path], None]:
    """Return what makes a bundle time itself as on a quiet machine, whatever else runs."""
    return _quieten


@pytest.fixture(scope="session")
def digests() -> Callable[[Path], dict[str, str]]:
    """Return what reads the digest of every artifact in a folder's store, by label."""
    return _digests


@pytest.fixture(scope="session")
def _drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    done = _edgetl(folder, "generate", "images", "--images", "60")
    assert done.returncode == 0, done.stderr
    return folder / "images"


def _write_files(folder: Path, recipe: str) -> None:
    for name, text in (
        ("recipe.yaml", recipe),
        ("calibration/tiny.yaml", _CALIBRATION),
        ("targets/host.yaml", _TARGET),
    ):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="session")
def write_files() -> Callable[[Path, str], None]:
    """Return what writes a recipe with the target `host` and the calibration `tiny` to a folder."""
    return _write_files


def _write_project(folder: Path, images: Path) -> Path:
    shutil.copytree(images, folder / "images")
    _write_files(folder, _RECIPE)
    return folder


@pytest.fixture
def project(tmp_path: Path, _drawn: Path) -> Path:
    """Return a folder with 60 images, recipe, target and calibration, and nothing made of it."""
    return _write_project(tmp_path, _drawn)


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory, _drawn: Path) -> tuple[Path, Done]:
    """Return such a folder after one run of the whole chain, to look at, and what the run said."""
    folder = _write_project(tmp_path_factory.mktemp("chain"), _drawn)
    done = _edgetl(folder, "run", "recipe.yaml")
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.fixture
def finished(chain: tuple[Path, Done], tmp_path: Path) -> Path:
    """Return a copy of that folder, to change."""
    return shutil.copytree(chain[0], tmp_path, dirs_exist_ok=True)


@pytest.fixture(scope="session")
def build() -> Callable[[Path, Path], Path]:
    """Return what makes the wheel of a source tree, with the build backend installed here."""
    pytest.importorskip("hatchling", reason="edgetl[dev] is not installed")

    def make(source: Path, out: Path) -> Path:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-index"),
                *("--no-build-isolation", "--wheel-dir", str(out), str(source)),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        (wheel,) = out.glob("*.whl")
        return wheel

    return make


@pytest.fixture(scope="session")
def wheels(
    tmp_path_factory: pytest.TempPathFactory, build: Callable[[Path, Path], Path]
) -> tuple[Path, Path]:
    """The wheels of edgetl-runtime and of edgetl, in this order."""
    out = tmp_path_factory.mktemp("wheels")
    return build(_TREE / "distributions" / "runtime", out / "runtime"), build(_TREE, out / "edgetl")


@pytest.fixture(scope="session")
def requirements() -> Callable[[Path], list[str]]:
    """Return what reads the requirements of a wheel."""
    return _requirements


def _requirements(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(archive.read(name))
    assert metadata["Version"] == __version__
    return metadata.get_all("Requires-Dist", [])


@pytest.fixture(scope="session")
def pip() -> Callable[..., None]:
    """Return what runs `pip WORDS` for a Python."""

    def run(python: Path, *words: str | Path) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "--python", python, *words],
            env=_without_checkout(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return run


@pytest.fixture(scope="session")
def install(
    wheels: tuple[Path, Path], environment: Environment, pip: Callable[..., None]
) -> Environment:
    """Return what installs edgetl in a new environment, without extras, and returns its Python.

    It takes the folder, and the distributions that are installed beside it.
    """

    def make(folder: Path, others: Sequence[str]) -> Path:
        lines = (line for wheel in wheels for line in _requirements(wheel) if ";" not in line)
        names = {re.split(r"[^A-Za-z0-9._-]", line)[0] for line in lines} - {"edgetl-runtime"}
        python = environment(folder, [*sorted(names), *others])
        pip(python, "install", "--no-deps", "--no-index", *wheels)
        pip(python, "check")
        return python

    return make


@pytest.fixture(scope="session")
def outside() -> Callable[..., Done]:
    """Return what runs a command that cannot import the checkout, in a folder."""

    def run(*command: str | Path, folder: Path | None = None, **environment: str) -> Done:
        return subprocess.run(
            command,
            cwd=folder,
            env=_without_checkout() | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def _without_checkout() -> dict[str, str]:
    """Return the environment variables without PYTHONPATH, which may name the checkout."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """An OpenSSH server on loopback, in the role of a board."""
    pytest.importorskip("asyncssh")
    # By path: installed packages bring one that is called `tests`.
    spec = importlib.util.spec_from_file_location("edgetl_tests_gate_sshd", _SSHD)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    with module.running_sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running
