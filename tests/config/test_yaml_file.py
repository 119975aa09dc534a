"""YAML is read strictly, with line numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgetl.config.yaml_file import Document, override, parse_override, read_document
from edgetl.errors import ConfigError


def _read(tmp_path: Path, text: str) -> Document:
    path = tmp_path / "r.yaml"
    path.write_text(text, encoding="utf-8")
    return read_document(path, "r.yaml")


def test_every_key_and_item_has_its_line(tmp_path: Path) -> None:
    document = _read(tmp_path, "a: 1\nb:\n  c: 2\n  d:\n    - x\n    - y\n")
    assert document.data == {"a": 1, "b": {"c": 2, "d": ["x", "y"]}}
    assert document.line(("b", "c")) == 3
    assert document.line(("b", "d", 1)) == 6
    assert document.line(("b", "missing")) == 2
    assert document.line(("missing",)) is None


def test_duplicate_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"r\.yaml:3: a: is already defined in line 1"):
        _read(tmp_path, "a: 1\nb: 2\na: 3\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1\n", r"r\.yaml:2: not YAML"),
        ("- a\n", r"r\.yaml: must be a table"),
        ("", r"r\.yaml: must be a table"),
        ("a: !!python/object:os.system {}\n", r"r\.yaml:1: not YAML: could not determine"),
    ],
    ids=["torn", "list", "empty", "python object"],
)
def test_document_that_is_not_a_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _read(tmp_path, text)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file"):
        read_document(tmp_path / "none.yaml", "none.yaml")


def test_latin1_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes("name: größe\n".encode("latin-1"))
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        read_document(path, "r.yaml")


@pytest.mark.parametrize(
    ("text", "place", "value"),
    [
        ("seed=3", ("seed",), 3),
        ("a.b.c=1e-3", ("a", "b", "c"), "1e-3"),
        ("a.b=0.001", ("a", "b"), 0.001),
        ("targets=[host, rpi4]", ("targets",), ["host", "rpi4"]),
        ("student=null", ("student",), None),
        ("name=a=b", ("name",), "a=b"),
    ],
)
def test_override_value_is_yaml(text: str, place: tuple[str, ...], value: object) -> None:
    assert parse_override(text) == (place, value)


@pytest.mark.parametrize("text", ["seed", "=3", "a..b=1", ".a=1"])
def test_override_without_key_or_value_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="must have the form key=value"):
        parse_override(text)


def test_override_with_broken_value_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"the value '\[1' is not YAML"):
        parse_override("a=[1")


def test_override_creates_missing_tables(tmp_path: Path) -> None:
    document = _read(tmp_path, "a: 1\nempty:\n")
    override(document, ("b", "c"), 2)
    override(document, ("empty", "d"), 3)
    assert document.data == {"a": 1, "b": {"c": 2}, "empty": {"d": 3}}


def test_override_inside_a_value_is_refused(tmp_path: Path) -> None:
    document = _read(tmp_path, "a: 1\n")
    with pytest.raises(ConfigError, match=r"^--set a\.b: a: is 1, not a table") as caught:
        override(document, ("a", "b"), 2)
    assert caught.value.remedy == "set the whole table, --set a=..., or another key"


def test_lines_inside_a_replaced_table_are_forgotten(tmp_path: Path) -> None:
    document = _read(tmp_path, "a:\n  b: 1\nc: 2\n")
    override(document, ("a",), {"b": 3})
    assert document.lines == {("c",): 3}
