"""No file outside a task's folder compares with its name; plug-ins state the tasks they are for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import edgetl
from edgetl.tasks import TASKS

_ROOT = Path(edgetl.__file__).parent
_OWN = ("tasks/", "runtime/tasks/")
_NAMES = set(TASKS.built_in())
_FILES = sorted(
    name
    for path in _ROOT.rglob("*.py")
    if not (name := path.relative_to(_ROOT).as_posix()).startswith(_OWN)
)


@pytest.mark.parametrize("name", _FILES)
def test_no_file_compares_with_the_name_of_a_task(name: str) -> None:
    assert list(_named(ast.parse((_ROOT / name).read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "source",
    [
        "if task is Task.DETECTION: ...",
        "wanted = task != 'detection'",
        "x = task in (Task.DETECTION,)",
        "x = types.Task.CLASSIFICATION == task",
        "match task:\n    case 'detection': ...",
        "match task:\n    case Task.DETECTION: ...",
        "x = {Task.DETECTION: 1}[task]",
        "x = TASKS.load('detection')",
        "x = tables[Task.DETECTION]",
        "x = task.value.startswith('detection')",
    ],
)
def test_a_comparison_would_be_noticed(source: str) -> None:
    assert len(list(_named(ast.parse(source)))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "task: Task = Task.DETECTION",
        "METHOD = Method(version=1, tasks=(Task.DETECTION,))",
        "METHOD = Method(version=1, tasks=('detection',))",
        "class A:\n    task: str = 'detection'",
        "for task in Task: names.append(task)",
        "fits = task in method.tasks",
    ],
)
def test_a_statement_is_allowed(source: str) -> None:
    assert list(_named(ast.parse(source))) == []


def _named(tree: ast.Module) -> Iterator[str]:
    """Yield every mention of a task's name that is not a plain statement of it."""
    stated = {
        id(mention)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.keyword) and node.value is not None
        for mention in _elements(node.value)
    }
    for node in ast.walk(tree):
        if id(node) in stated:
            continue
        if isinstance(node, ast.Constant) and node.value in _NAMES:
            yield f"{node.lineno}: '{node.value}'"
        elif isinstance(node, ast.Attribute) and node.attr.lower() in _NAMES:
            yield f"{node.lineno}: {node.attr}"


def _elements(value: ast.expr) -> list[ast.expr]:
    """Return a value, or the elements of a tuple."""
    return value.elts if isinstance(value, ast.Tuple) else [value]
