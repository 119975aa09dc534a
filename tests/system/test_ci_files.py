"""The action and the templates for CI call commands that exist, with the options that they name."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgetl.cli.check import command

_ROOT = Path(__file__).parents[2]
_BASH = shutil.which("bash") or "/bin/bash"
_EDGETL = f"""\
#!{sys.executable}
import json, sys
open("called.json", "w").write(json.dumps(sys.argv[1:]))
open("edgetl-check.md", "w").write("| case |\\n")
"""


def _read(name: str) -> Any:
    return yaml.safe_load((_ROOT / name).read_text(encoding="utf-8"))


def _steps() -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = _read("action.yml")["runs"]["steps"]
    return steps


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a program `edgetl` that writes down how it is called."""
    program = tmp_path / "bin" / "edgetl"
    program.parent.mkdir()
    program.write_text(_EDGETL, encoding="utf-8")
    program.chmod(0o755)
    return tmp_path


def _run(folder: Path, step: str, **inputs: str) -> None:
    """Run one step of the action with its inputs, as GitHub does."""
    (chosen,) = (each for each in _steps() if each.get("name") == step)
    defaults = {
        name: each.get("default", "") for name, each in _read("action.yml")["inputs"].items()
    }
    values = defaults | inputs
    environment = {
        name: re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda match: values[match[1]], text)
        for name, text in chosen["env"].items()
    }
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [_BASH, "--noprofile", "--norc", "-eo", "pipefail", "-c", chosen["run"]],
        cwd=folder,
        env={"PATH": path, "GITHUB_STEP_SUMMARY": str(folder / "summary.md")} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def _called(folder: Path) -> list[str]:
    """Return the words after `edgetl`, which its command understands."""
    called: list[str] = json.loads((folder / "called.json").read_text(encoding="utf-8"))
    # An option that the command does not know, or a value that it does not allow, is an error here.
    command.make_context("check", called[1:])
    return called


def test_action_checks_a_bundle_on_the_device_of_its_target(folder: Path) -> None:
    _run(folder, "Check", check="dist/rpi4", target="rpi4")
    assert _called(folder) == [
        *("check", "dist/rpi4", "--target", "rpi4", "--require", "measured"),
        *("--junit", "edgetl-check.xml", "--markdown", "edgetl-check.md"),
    ]


def test_action_passes_device_and_baseline_if_there_is_one(folder: Path) -> None:
    inputs = {"device": "emulated:cortex-a72", "require": "emulated", "baseline": "base line.json"}
    _run(folder, "Check", check="recipe.yaml", target="rpi4", **inputs)
    assert _called(folder)[-2:] == ["--device", "emulated:cortex-a72"]
    (folder / "base line.json").touch()
    _run(folder, "Check", check="recipe.yaml", target="rpi4", **inputs)
    assert _called(folder)[-2:] == ["--baseline", "base line.json"]
    assert _called(folder)[5] == "emulated"


def test_input_of_the_action_is_never_read_as_a_command(folder: Path) -> None:
    _run(folder, "Check", check="a; touch stolen", target="$(touch stolen)")
    assert _called(folder)[1:4] == ["a; touch stolen", "--target", "$(touch stolen)"]
    assert not (folder / "stolen").exists()
    for step in _steps():
        assert "${{" not in step.get("run", "")


def test_action_writes_the_table_into_the_summary(folder: Path) -> None:
    _run(folder, "Check", check="dist/rpi4", target="rpi4")
    _run(folder, "Summary")
    assert (folder / "summary.md").read_text(encoding="utf-8") == "| case |\n"


def test_options_of_the_action_are_those_of_the_command() -> None:
    known = {option for each in command.params for option in each.opts}
    scripts = "\n".join(step.get("run", "") for step in _steps() if step.get("name") == "Check")
    named = set(re.findall(r"(--[a-z]+)", scripts))
    assert named == {"--target", "--require", "--junit", "--markdown", "--device", "--baseline"}
    assert named <= known


def test_workflow_and_page_use_inputs_of_the_action() -> None:
    inputs = _read("action.yml")["inputs"]
    jobs = _read(".github/workflows/edge-check.yml")["jobs"]
    used = [
        step["with"] for job in jobs.values() for step in job["steps"] if step.get("uses") == "./"
    ]
    assert [each["name"] for each in used] == ["check-emulated", "check-board"]
    page = (_ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(jobs:.*?)```", page, flags=re.DOTALL)
    used.append(yaml.safe_load(example)["jobs"]["edge"]["steps"][-1]["with"])
    for each in used:
        assert set(each) <= set(inputs)
        assert set(each) >= {name for name, value in inputs.items() if value.get("required")}


def test_gitlab_template_makes_then_checks_on_both_boards() -> None:
    jobs = _read("ci/gitlab.yml")
    lines = [line for job in jobs["stages"] for line in jobs[job]["script"]]
    checks = [line for line in lines if "edgetl check" in line]
    assert [line.split()[1] for line in lines if line.split()[0].endswith("edgetl")] == [
        *("run", "check", "check"),
    ]
    known = {option for each in command.params for option in each.opts}
    for line in checks:
        assert set(re.findall(r"(--[a-z]+)", line)) <= known
    variables = set(re.findall(r"\$([A-Z_]+)", "\n".join(lines))) - {"PWD"}
    assert variables <= set(jobs["variables"])
