"""The commands of README are run, in order, in one folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

from edgetl.pipeline.job import recipe_of
from edgetl.pipeline.planner import all_stages

_README = Path(__file__).parents[2] / "README.md"


def _blocks(language: str) -> list[str]:
    text = _README.read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def test_commands_of_the_readme_end_well(tmp_path: Path) -> None:
    # `make` needs a checkout and sets up an environment; what it calls is tested elsewhere.
    commands = [
        line
        for block in _blocks("sh")
        for line in block.splitlines()
        if line and not line.startswith("make ")
    ]
    assert commands
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command in commands:
        done = subprocess.run(
            command.split(),
            cwd=tmp_path,
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def test_make_targets_of_the_readme_exist() -> None:
    makefile = (_README.parent / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^make (\S+)", "\n".join(_blocks("sh")), flags=re.MULTILINE)
    assert targets == ["demo", "test"]
    for target in targets:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)


def test_recipes_of_the_readme_are_valid(tmp_path: Path) -> None:
    blocks = {text: yaml.safe_load(text) for text in _blocks("yaml")}
    recipes = {block["name"]: text for text, block in blocks.items() if "task" in block}
    assert list(recipes) == ["cells", "parts", "parts-rpi5"]
    for name, text in recipes.items():
        path = tmp_path / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        assert recipe_of(str(path), (), all_stages()).recipe.name == name


def test_commands_of_the_pipeline_example_are_known() -> None:
    from edgetl.cli import COMMANDS

    (pipeline,) = (text for text in _blocks("yaml") if "stages:" in text)
    jobs = yaml.safe_load(pipeline)
    lines = [line for job in ("compile", "measure") for line in jobs[job]["script"]]
    named = re.findall(r"edgetl ([a-z]+) ", "\n".join(lines))
    assert sorted(named) == ["check", "check", "run"]
    assert set(named) <= set(COMMANDS)


def test_every_command_of_the_readme_table_exists() -> None:
    from edgetl.cli import COMMANDS

    text = _README.read_text(encoding="utf-8")
    named = set(re.findall(r"`edgetl ([a-z][a-z-]*)", text))
    assert named == set(COMMANDS)
