"""README and documentation are true: commands end well, recipes are valid, names exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from docs.command_page import contexts
from edgetl.cli import COMMANDS
from edgetl.config.target import Target
from edgetl.pipeline.job import recipe_of
from edgetl.pipeline.planner import all_stages

_ROOT = Path(__file__).parents[2]
_PAGES = (_ROOT / "README.md", *sorted((_ROOT / "docs").glob("*.md")))


def _id(path: Path) -> str:
    return path.relative_to(_ROOT).as_posix()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", _text(path), flags=re.DOTALL | re.MULTILINE)


def _shell_lines(path: Path) -> Iterator[str]:
    for block in _blocks(path, "sh"):
        yield from (line.partition("#")[0].strip() for line in block.splitlines())


_WITH_COMMANDS = [path for path in _PAGES if any(_shell_lines(path))]


def test_pages_with_commands_are_known() -> None:
    names = {_id(path) for path in _WITH_COMMANDS}
    assert names >= {"README.md", "docs/index.md", "docs/own-images.md", "docs/own-boxes.md"}


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_links_to_files_of_the_repository_lead_there(name: str) -> None:
    # Links between pages of the site are checked when it is built.
    links = re.findall(r"\]\(([^)#:]+)\)", _text(_ROOT / name))
    assert links
    assert [link for link in links if not (_ROOT / link).exists()] == []


def test_start_page_leads_to_every_intention_at_once() -> None:
    links = set(re.findall(r"\]\((\S+\.md)\)", _text(_ROOT / "docs" / "index.md")))
    assert links >= {
        *("own-images.md", "own-boxes.md", "board.md", "ci.md", "own-family.md", "device.md"),
    }


@pytest.mark.parametrize("page", _WITH_COMMANDS, ids=_id)
def test_commands_end_well_in_order_in_one_folder(page: Path, tmp_path: Path) -> None:
    # `make` needs a checkout and sets up an environment; what it calls is tested elsewhere.
    commands = [line for line in _shell_lines(page) if line and not line.startswith("make ")]
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


def test_make_targets_exist() -> None:
    makefile = (_ROOT / "Makefile").read_text(encoding="utf-8")
    lines = [line for page in _PAGES for line in _shell_lines(page)]
    quoted = [name for page in _PAGES for name in re.findall(r"`make (\S+)`", _text(page))]
    targets = {line.split()[1] for line in lines if line.startswith("make ")} | set(quoted)
    assert targets >= {"demo", "test", "docs"}
    for target in targets:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_recipes_are_valid(tmp_path: Path) -> None:
    blocks = {text: yaml.safe_load(text) for page in _PAGES for text in _blocks(page, "yaml")}
    recipes = {block["name"]: text for text, block in blocks.items() if "task" in block}
    assert sorted(recipes) == ["cells", "parts", "parts-rpi5"]
    for name, text in recipes.items():
        path = tmp_path / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        assert recipe_of(str(path), (), all_stages()).recipe.name == name


def test_target_of_the_board_page_is_valid() -> None:
    (text,) = _blocks(_ROOT / "docs" / "board.md", "yaml")
    target = Target.model_validate(yaml.safe_load(text))
    assert (target.name, target.device) == ("gatepi", "ssh://pi@raspberrypi")


def _options(words: list[str]) -> set[str] | None:
    """Return the options of the command that `words` begin with; None if there is none."""
    named = {tuple(each.command_path.split()[1:]): each for each in contexts()}
    for count in (2, 1):
        context = named.get(tuple(words[:count]))
        if context is not None:
            parameters = context.command.get_params(context)
            return {option for each in parameters for option in each.opts} | {"--help", "-h"}
    return None


@pytest.mark.parametrize("page", _PAGES, ids=_id)
def test_commands_and_options_that_a_page_names_exist(page: Path) -> None:
    text = _text(page).replace("\\\n", " ")
    blocks = [*_blocks(page, "text"), *_blocks(page, "sh")]
    lines = [line.partition("#")[0] for block in blocks for line in block.splitlines()]
    named = [*re.findall(r"`(edgetl [a-z][^`]*)`", text), *lines]
    for command in named:
        match = re.match(r"edgetl ([a-z][a-z-]*.*)", command)
        if match is None or re.match(r"[a-z-]+ +[a-z0-9]+ int8", match[1]):
            continue
        words = match[1].split()
        options = _options(words)
        assert options is not None, f"{command}: no command '{words[0]}'"
        unknown = {word for word in words if word.startswith("--")} - options
        assert not unknown, f"{command}: no option {', '.join(sorted(unknown))}"


def test_every_command_is_named_on_some_page() -> None:
    text = "\n".join(_text(page) for page in _PAGES)
    assert set(COMMANDS) <= set(re.findall(r"\bedgetl ([a-z][a-z-]*)", text))
