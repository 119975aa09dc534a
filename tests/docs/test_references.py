"""The generated pages: every key of the schemas, every command and option, with its description."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import click
import pytest
from pydantic import create_model

import edgetl
from docs.command_page import command_page, contexts
from docs.schema_pages import ENUMS, described_keys, member_docs, schema_page
from edgetl.cli.schema import KINDS, json_schema
from edgetl.config.table import Table


def _rows(page: str) -> dict[str, list[list[str]]]:
    """Return the cells of table rows below each heading; the first one is the title."""
    rows: dict[str, list[list[str]]] = {}
    heading = ""
    for line in page.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif line.startswith("| `"):
            cells = re.split(r"(?<!\\)\|", line.strip("|"))
            rows.setdefault(heading, []).append([cell.strip() for cell in cells])
    return rows


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_has_a_description_that_the_page_shows(kind: str) -> None:
    schema = json_schema(kind)
    page = schema_page("Title", "Opening.", schema)
    shown = {cells[0] for rows in _rows(page).values() for cells in rows}
    keys = list(described_keys(schema))
    assert keys
    for table, key, description in keys:
        assert description, f"{table}.{key} has no docstring"
        if not table.endswith("-entry"):
            assert f"`{key}`" in shown, f"{table}.{key}"
            assert description.replace("|", "\\|") in page, f"{table}.{key}"


@pytest.mark.parametrize("kind", KINDS)
def test_links_of_a_page_lead_to_its_sections(kind: str) -> None:
    page = schema_page("Title", "Opening.", json_schema(kind))
    headings = {line.lstrip("# ").lower() for line in page.splitlines() if line.startswith("## ")}
    links = set(re.findall(r"\]\(#([^)]*)\)", page))
    assert links
    assert links <= headings


def test_every_name_of_a_closed_set_is_described() -> None:
    described = {each.__name__ for each in ENUMS}
    for kind in KINDS:
        schema = json_schema(kind)
        assert {name for name, each in schema["$defs"].items() if "enum" in each} <= described
    for enum in ENUMS:
        assert [value for value, text in member_docs(enum).items() if not text] == []


def test_key_that_methods_do_not_share_states_its_condition() -> None:
    rows = _rows(schema_page("Recipe", "", json_schema("recipe")))
    finetune = {cells[0]: cells for cells in rows["finetune"]}
    assert finetune["`mosaic`"][3].endswith("Only with `task: detection`.")
    assert finetune["`probe_lr`"][3].endswith(
        "Only with `strategy: linear-probe` or `strategy: probe-then-full`."
    )
    assert "Only with" not in finetune["`epochs`"][3]
    distill = [cells for cells in rows["distill"] if cells[0] == "`temperature`"]
    assert [cells[3].partition("Only with ")[2] for cells in distill] == [
        "`task: classification`.",
        "`method: cwd`.",
        "`method: pkd`.",
    ]
    assert finetune["`strategy`"][1] == "`full`, `linear-probe`, `probe-then-full`"


def test_row_states_value_bounds_and_default() -> None:
    rows = _rows(schema_page("Recipe", "", json_schema("recipe")))
    assert rows["input"][0] == [
        "`size`",
        "integer, at least 8, at most 1024",
        "`160`",
        "Height and width in pixels.",
    ]
    top = {cells[0]: cells for cells in rows["Recipe"]}
    assert top["`name`"][2] == "required"
    assert top["`data`"][1] == "[data](#data)"


def test_bar_in_a_description_does_not_end_the_cell() -> None:
    class Example(Table):
        """An example."""

        mode: Literal["a"] = "a"
        """Either a | b."""

    schema = create_model("Example", __base__=Example).model_json_schema() | {"$defs": {}}
    rows = _rows(schema_page("Example", "", schema))
    assert rows["Example"][0][3] == "Either a \\| b."


def test_every_command_option_and_help_is_shown() -> None:
    page = command_page()
    sections = dict(
        re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", page, flags=re.DOTALL | re.MULTILINE)
    )
    paths = [each.command_path for each in contexts()]
    assert list(sections) == paths
    assert {"edgetl run", "edgetl baseline update", "edgetl targets check"} <= set(paths)
    for context in contexts():
        section = sections[context.command_path]
        text = " ".join(section.split()).replace("\\[", "[")
        for parameter in context.command.get_params(context):
            if isinstance(parameter, click.Option) and "--help" not in parameter.opts:
                assert f"`{parameter.opts[0]}" in section, context.command_path
                assert parameter.help, f"{context.command_path} {parameter.opts[0]}"
                assert " ".join(parameter.help.split()) in text
            elif isinstance(parameter, click.Argument):
                assert parameter.make_metavar(context) in section


def test_examples_of_commands_stay_as_they_are() -> None:
    assert "\nedgetl run parts                 the built-in example, without downloads\n" in (
        command_page()
    )
    assert "\b" not in command_page()


def test_pages_include_files_that_exist() -> None:
    root = Path(__file__).parents[2]
    lines = [
        line
        for page in sorted((root / "docs").rglob("*.md"))
        for line in page.read_text(encoding="utf-8").splitlines()
        if "--8" in line  # a formatter of code in pages would make `--8 < --` of it
    ]
    names = [re.fullmatch(r'--8<-- "(.+)"', line) for line in lines]
    assert len(names) >= 4
    assert all(name and (root / name[1]).is_file() for name in names), lines


def test_every_public_name_of_the_package_has_an_entry() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "python.md").read_text("utf-8")
    entries = set(re.findall(r"^::: (\S+)$", page, flags=re.MULTILINE))
    runtime = {"edgetl.runtime.predictor.Predictor"}  # on the page of the runtime
    missing = []
    for name in edgetl.__all__:
        place = getattr(edgetl, name).__module__
        if not {place, f"{place}.{name}"} & (entries | runtime):
            missing.append(f"{place}.{name}")
    assert missing == []
