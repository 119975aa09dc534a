"""The programs in `examples/` are short, and run on a tiny recipe."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgetl.runtime.bundle import runtime_files

_FOLDER = Path(__file__).parents[2] / "examples"
_LONGEST = 45
"""Lines without docstrings, comments and blank ones."""


def _run(folder: Path, name: str, *words: str, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(_FOLDER / name), *words],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_all_are_run_here() -> None:
    names = {path.relative_to(_FOLDER).as_posix() for path in _FOLDER.rglob("*.py")}
    tested = Path(__file__).read_text(encoding="utf-8")
    assert len(names) == 5
    assert [name for name in names if name not in tested] == []


@pytest.mark.parametrize("path", sorted(_FOLDER.rglob("*.py")), ids=lambda path: path.name)
def test_example_is_short(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            assert ast.get_docstring(node)
            node.body = node.body[1:]
    assert len([line for line in ast.unparse(tree).splitlines() if line]) <= _LONGEST


def test_recipe_is_planned_and_run(project: Path) -> None:
    code, text = _run(project, "plan_and_run.py", "recipe.yaml", "finetune.epochs=1")
    assert code == 0, text
    assert text.splitlines()[0].endswith(" steps are to be run")
    (chosen,) = (line for line in text.splitlines() if line.startswith("host: "))
    assert re.fullmatch(r"host: onnx \S+ in dist/host, top-1 0\.\d{3}, 0\.\d\d MB", chosen)
    code, text = _run(project, "plan_and_run.py", "recipe.yaml", "distill.epocs=3")
    assert code == 1
    assert "epocs" in text
    assert "Traceback" not in text


def test_bundle_is_checked(finished: Path, quieten: Callable[[Path], None]) -> None:
    quieten(finished / "dist" / "host")
    code, text = _run(finished, "check_in_ci.py", "dist/host", "host")
    assert (code, text) == (0, "dist/host on host: passed\n")
    assert (finished / "check.xml").read_text().startswith("<?xml")
    assert (finished / "check.md").read_text().startswith("### edgetl check tiny on host: passed")
    target = finished / "targets" / "host.yaml"
    target.write_text(target.read_text().replace("drop_pp: 100", "drop_pp: 100, size_mib: 0.001"))
    code, text = _run(finished, "check_in_ci.py", "dist/host", "host")
    assert code == 1
    assert text.endswith("dist/host on host: failed\n")
    code, text = _run(finished, "check_in_ci.py", "nowhere", "host")
    assert (code, "Traceback" in text) == (1, False)


def test_device_program_predicts_with_the_files_of_the_bundle_alone(finished: Path) -> None:
    bundle = finished / "dist" / "host"
    code, text = _run(bundle, "camera_loop.py", ".", PYTHONPATH=str(bundle))
    assert code == 0, text
    lines = text.splitlines()
    assert [line.split(" ", 1)[0] for line in lines] == ["0", "1", "2"]
    assert "edgetl/runtime/predictor.py" in runtime_files()


def test_device_program_is_for_old_pythons() -> None:
    source = (_FOLDER / "camera_loop.py").read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 9))


def test_plugins_are_listed(tmp_path: Path) -> None:
    code, text = _run(tmp_path, "list_plugins.py")
    assert code == 0, text
    for name in ("mobilenet_v2 ", "voc ", "probe-then-full ", "ssh ", "rpi4", "detect-parts"):
        assert name in text


def test_own_family_is_listed_and_trained(project: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"  # what `pip install` makes of own_family/two_layers.py
    info = site / "two_layers-0.1.dist-info"
    info.mkdir(parents=True)
    project_file = (_FOLDER / "own_family" / "pyproject.toml").read_text(encoding="utf-8")
    assert '[project.entry-points."edgetl.families"]\ntwo_layers = "two_layers"\n' in project_file
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: two-layers\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[edgetl.families]\ntwo_layers = two_layers\n")
    (site / "two_layers.py").write_bytes((_FOLDER / "own_family" / "two_layers.py").read_bytes())
    path = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH"))))
    code, text = _run(project, "list_plugins.py", PYTHONPATH=path)
    assert (code, "two_layers  " in text, "(from two-layers 0.1)" in text) == (0, True, True)
    settings = ("teacher.family=two_layers", "teacher.width=1", "student.family=two_layers")
    code, text = _run(project, "plan_and_run.py", "recipe.yaml", *settings, PYTHONPATH=path)
    assert code == 0, text
    assert "host: onnx " in text
