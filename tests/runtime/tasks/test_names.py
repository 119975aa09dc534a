"""Nobody outside a task's file asks which task a model has."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import edgetl
from edgetl.runtime import tasks

_ROOT = Path(edgetl.__file__).parent
_FILES = sorted(
    path
    for room in ("runtime", "exporters", "quantizers")
    for path in (_ROOT / room).rglob("*.py")
    if path.parent != _ROOT / "runtime" / "tasks"
)


@pytest.mark.parametrize("path", _FILES, ids=lambda path: path.relative_to(_ROOT).as_posix())
def test_no_file_names_a_task(path: Path) -> None:
    assert list(_named_tasks(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "if task == 'detection': ...",
        "x = Task.DETECTION",
        "{'classification': 1}",
        "CLASSIFICATION",
    ],
)
def test_a_named_task_would_be_noticed(source: str) -> None:
    assert len(list(_named_tasks(source))) == 1


def test_task_files_are_known_by_their_names() -> None:
    assert tasks.names() == ("classification", "detection")


def _named_tasks(source: str) -> Iterator[str]:
    names = set(tasks.names())
    for node in ast.walk(ast.parse(source)):
        word = None
        if isinstance(node, ast.Constant):
            word = node.value
        elif isinstance(node, ast.Attribute):
            word = node.attr.lower()
        elif isinstance(node, ast.Name):
            word = node.id.lower()
        if isinstance(word, str) and word in names:
            yield word
