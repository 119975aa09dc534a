"""Names that YAML does not read as text are named as they are written, with what to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgetl.config.check import check_table
from edgetl.config.limits import Limits
from edgetl.config.recipe import DataTable
from edgetl.config.table import Table
from edgetl.config.yaml_file import read_document


def problems(tmp_path: Path, model: type[Table], text: str) -> list[tuple[str, str, int | None]]:
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    document = read_document(tmp_path / "a.yaml", "a.yaml")
    return [
        (each.where, each.what, each.line)
        for each in check_table(model, document, document.data)[1]
    ]


@pytest.mark.parametrize(
    ("key", "read"),
    [("yes", "True"), ("off", "False"), ("1", "1"), ("2024-01-02", "2024-01-02"), ("~", "None")],
)
def test_class_without_quotes_gets_the_quotes_to_write(tmp_path: Path, key: str, read: str) -> None:
    text = f'class_recall:\n  "2024-99-99": 0.5\n  {key}: 0.9\n'
    what = f'must be in quotes, "{key}": YAML reads it as {read}, not as text'
    assert problems(tmp_path, Limits, text) == [(f"class_recall.{key}", what, 3)]


def test_two_names_that_are_read_alike_are_told_apart(tmp_path: Path) -> None:
    """Pydantic calls both of them '1'."""
    listed = problems(tmp_path, Limits, "class_recall: {crack: 1, yes: 1}\nclass_precision: {1: 1}")
    assert [place for place, _, _ in listed] == ["class_recall.yes", "class_precision.1"]


def test_key_that_is_no_text_is_named_in_the_table_itself(tmp_path: Path) -> None:
    ((place, what, line),) = problems(tmp_path, Limits, "top1: 0.5\n1: 3\n")
    assert (place, line) == ("1", 2)
    assert what.startswith('must be in quotes, "1"')


def test_names_in_quotes_are_taken(tmp_path: Path) -> None:
    assert problems(tmp_path, Limits, "class_recall: {'yes': 0.9, '1': 0.8}\n") == []


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("path: 2020\n", "path", "is 2020; must be text in quotes"),
        ("path: a\nexclude: [no]\n", "exclude.0", "is False; must be text in quotes"),
        (
            "path: a\ngroup: 3\n",
            "group",
            "is 3; must be text in quotes or a table of `key: value` lines",
        ),
        ("path: [a]\n", "path", "is ['a']; must be text"),
    ],
    ids=["number", "no", "union", "list"],
)
def test_value_that_must_be_text_needs_quotes_unless_it_is_none(
    tmp_path: Path, text: str, place: str, what: str
) -> None:
    assert (place, what) in [
        (where, each) for where, each, _ in problems(tmp_path, DataTable, text)
    ]


def test_table_that_could_also_be_text_is_judged_as_a_table(tmp_path: Path) -> None:
    listed = problems(tmp_path, DataTable, "path: a\ngroup: {file: a.csv, colum: x}\n")
    assert [place for place, _, _ in listed] == ["group.column", "group.colum"]
