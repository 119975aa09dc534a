"""Reference pages of recipes, targets and calibration recipes, from their JSON schemas.

A schema is that of ``edgetl schema``: its descriptions are the docstrings of the fields. Keys of a
table that depend on a method or a task are merged into one list, with the condition of each.
"""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Final

from edgetl.config.board import Feature
from edgetl.config.limits import Judge
from edgetl.config.recipe import Accept, Drop, Repair
from edgetl.types import Precision

ENUMS: Final[tuple[type[StrEnum], ...]] = (Accept, Drop, Repair, Judge, Precision, Feature)
"""Closed sets of names in the schemas; the source has a description of every member."""

_BOUNDS: Final = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
}
_TABLE_HEAD: Final = ("| key | value | default | meaning |", "| --- | --- | --- | --- |")
_TYPES: Final = {
    "array": "list",
    "boolean": "true or false",
    "integer": "integer",
    "null": "null",
    "number": "number",
    "object": "table",
    "string": "text",
}

_ENTRY: Final = "-entry"
"""End of the names of tables with a single key, the name of a refining stage."""

Schema = Mapping[str, Any]


def schema_page(title: str, opening: str, schema: Schema) -> str:
    """Return a page in Markdown: the keys at the top, then a section for each table and set."""
    lines = [f"# {title}", "", opening, "", *_key_table(schema, schema)]
    for name, variants in _tables(schema).items():
        lines += ["", f"## {name}", "", *_section(variants, schema)]
    sets = [each for each in ENUMS if each.__name__ in schema["$defs"]]
    for each in sets:
        lines += ["", f"## {each.__name__}", "", _one_line(inspect.getdoc(each) or ""), ""]
        lines += ["| value | meaning |", "| --- | --- |"]
        lines += [f"| `{value}` | {_cell(text)} |" for value, text in member_docs(each).items()]
    return "\n".join(lines) + "\n"


def member_docs(enum: type[StrEnum]) -> dict[str, str]:
    """Return the value of each member to the docstring below it in the source; empty if none."""
    (tree,) = ast.parse(inspect.getsource(enum)).body
    if not isinstance(tree, ast.ClassDef):
        raise TypeError(f"{enum} is not a class")
    texts: dict[str, str] = {member.value: "" for member in enum}
    for node, after in zip(tree.body, [*tree.body[1:], ast.Pass()], strict=True):
        match node, after:
            case (
                ast.Assign(value=ast.Constant(value=str(value))),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                texts[value] = _one_line(text)
    return texts


def described_keys(schema: Schema) -> Iterator[tuple[str, str, str]]:
    """Yield table, key and description of every key of a schema."""
    for name, table in {"": schema, **schema["$defs"]}.items():
        for key, value in table.get("properties", {}).items():
            yield name, key, _description(value, schema)


def _tables(schema: Schema) -> dict[str, list[Schema]]:
    """Return the headings of sections to the tables in them: several where a method decides."""
    sections: dict[str, list[Schema]] = {}
    merged: set[str] = set()
    for key, value in schema["properties"].items():
        names = _references(value)
        tables = [schema["$defs"][name] for name in names]
        if tables and all("properties" in each for each in tables):
            sections[key] = tables
            merged.update(names)
    for name, table in schema["$defs"].items():
        if name not in merged and "properties" in table and not name.endswith(_ENTRY):
            sections[name] = [table]
    return sections


def _section(variants: list[Schema], schema: Schema) -> Iterator[str]:
    """Yield the lines of a table, with the condition of keys that not all variants have alike."""
    description = variants[0].get("description", "")
    if description:
        yield _one_line(description)
        yield ""
    if len(variants) == 1:
        yield from _key_table(variants[0], schema)
        return
    method = _method_key(variants)
    names = dict.fromkeys(each["properties"][method]["const"] for each in variants)
    yield from _TABLE_HEAD
    for key in dict.fromkeys(key for each in variants for key in each["properties"]):
        values = [each["properties"].get(key) for each in variants]
        if key == method:
            values = [{"enum": list(names), "description": values[0]["description"]}] * len(values)
        required = all(key in each.get("required", ()) for each in variants)
        for value in [each for i, each in enumerate(values) if each and each not in values[:i]]:
            having = [each == value for each in values]
            condition = _condition(variants, method, having)
            yield _row(key, value, schema, required=required, condition=condition)


def _method_key(variants: list[Schema]) -> str:
    """Return the key whose value decides which variant a table is."""
    keys: Mapping[str, Schema] = variants[0]["properties"]
    return next(key for key, value in keys.items() if "const" in value)


def _condition(variants: list[Schema], method: str, having: list[bool]) -> str:
    """Return the setting that a recipe needs for what only some variants have; empty for all."""
    if all(having):
        return ""
    methods = [str(each["properties"][method]["const"]) for each in variants]
    tasks = [
        each["title"].rpartition("".join(word.title() for word in name.split("-")))[2].lower()
        for each, name in zip(variants, methods, strict=True)
    ]
    for noun, values in (("task", tasks), (method, methods)):
        names = dict.fromkeys(value for value, has in zip(values, having, strict=True) if has)
        if having == [value in names for value in values]:
            return " or ".join(f"`{noun}: {name}`" for name in names)
    pairs = zip(methods, tasks, having, strict=True)
    return " or ".join(f"`{method}: {name}` and `task: {task}`" for name, task, has in pairs if has)


def _key_table(table: Schema, schema: Schema) -> Iterator[str]:
    """Yield the rows of the keys of a table."""
    yield from _TABLE_HEAD
    for key, value in table["properties"].items():
        yield _row(key, value, schema, required=key in table.get("required", ()))


def _row(key: str, value: Schema, schema: Schema, *, required: bool, condition: str = "") -> str:
    meaning = _description(value, schema)
    if condition:
        meaning = f"{meaning} Only with {condition}."
    default = "required" if required else _default(value)
    return f"| `{key}` | {_type(key, value, schema)} | {default} | {_cell(meaning)} |"


def _description(value: Schema, schema: Schema) -> str:
    """Return the description of a key, or else of the table that it refers to."""
    if value.get("description"):
        return _one_line(value["description"])
    tables = [schema["$defs"][name] for name in _references(value)]
    return _one_line(tables[0].get("description", "")) if tables else ""


def _type(key: str, value: Schema, schema: Schema) -> str:
    """Return what a key may be, for people, with links to sections."""
    if "anyOf" in value:
        parts = [_type(key, each, schema) for each in value["anyOf"] if each.get("type") != "null"]
        return " or ".join(dict.fromkeys(parts))
    if "$ref" in value:
        return _link(key, value["$ref"].rpartition("/")[2], schema)
    if "const" in value or "enum" in value:
        return ", ".join(f"`{each}`" for each in value.get("enum", [value.get("const")]))
    if value.get("type") == "array" and "items" in value:
        return f"list of {_type(key, value['items'], schema)}"
    bounds = [text.format(value[name]) for name, text in _BOUNDS.items() if name in value]
    return ", ".join([_TYPES.get(value.get("type", ""), "any"), *bounds])


def _link(key: str, name: str, schema: Schema) -> str:
    """Return a link to the section of a definition that a key refers to."""
    if name.endswith(_ENTRY):
        ((stage, table),) = schema["$defs"][name]["properties"].items()
        return f"`{stage}`: {_type(stage, table, schema)}"
    section = name if name in _tables(schema) or "enum" in schema["$defs"][name] else key
    return f"[{section}](#{section.lower()})"


def _default(value: Schema) -> str:
    """Return the default of a key as a recipe would have it."""
    default = value.get("default")
    if default is None or isinstance(default, dict):
        return ""
    return f"`{default}`" if isinstance(default, str) and default else f"`{json.dumps(default)}`"


def _references(value: Schema) -> list[str]:
    """Return the names of the definitions that a key refers to directly."""
    options = value.get("anyOf", [value])
    return [each["$ref"].rpartition("/")[2] for each in options if "$ref" in each]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
