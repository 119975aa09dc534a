"""``import edgetl``: every public name is there, typed and described, and nothing is imported."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import types
from pathlib import Path
from typing import get_type_hints

import pytest

import edgetl

_SOURCE = Path(edgetl.__file__)
_FUNCTIONS = [name for name in edgetl.__all__ if name[0].islower()]
_HEAVY = (
    "torch", "onnx", "onnxruntime", "openvino", "nncf", "litert_torch", "numpy", "PIL",
    "pydantic", "yaml", "click", "rich", "edgetl.api",
)  # fmt: skip


def _python(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_import_of_edgetl_imports_nothing_else() -> None:
    script = f"import sys, edgetl; print([name for name in {_HEAVY!r} if name in sys.modules])"
    assert _python(script) == "[]\n"


def test_import_of_edgetl_takes_less_than_the_start_of_python() -> None:
    # Both in one process on one machine, so that a busy one does not matter.
    script = (
        "import subprocess, sys, time\n"
        "def seconds(code):\n"
        "    started = time.perf_counter()\n"
        "    subprocess.run([sys.executable, '-c', code], check=True)\n"
        "    return time.perf_counter() - started\n"
        "bare, both = [], []\n"
        "for _ in range(7):\n"
        "    bare.append(seconds('pass'))\n"
        "    both.append(seconds('import edgetl'))\n"
        "print(min(both) - min(bare), min(bare))\n"
    )
    extra, bare = map(float, _python(script).split())
    assert extra < max(0.15, 2 * bare)


@pytest.mark.parametrize("name", edgetl.__all__)
def test_every_public_name_is_there_and_described(name: str) -> None:
    value = getattr(edgetl, name)
    assert value.__name__ == name
    assert inspect.getdoc(value)
    assert name in dir(edgetl)


def test_type_checkers_see_the_names_that_there_are() -> None:
    names = {
        alias.name: f"{node.module}"
        for block in ast.parse(_SOURCE.read_text(encoding="utf-8")).body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(names) == sorted(edgetl.__all__)
    for name, place in names.items():
        assert getattr(sys.modules[place], name) is getattr(edgetl, name)


def test_no_public_name_is_that_of_a_module_which_would_replace_it() -> None:
    modules = {path.stem for path in _SOURCE.parent.iterdir()}
    assert not modules & set(edgetl.__all__)


@pytest.mark.parametrize("name", _FUNCTIONS)
def test_every_argument_is_typed_and_described(name: str) -> None:
    function: types.FunctionType = getattr(edgetl, name)
    parameters = inspect.signature(function).parameters
    described = inspect.getdoc(function) or ""
    for parameter in parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty
        assert f"    {parameter.name}: " in described, f"{name}({parameter.name})"
    if parameters:
        assert "Raises:" in described


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'edgetl' has no attribute 'rum'"):
        getattr(edgetl, "rum")  # noqa: B009 - mypy knows that there is none


def test_annotations_of_results_can_be_resolved() -> None:
    # Notebooks and documentation tools do so.
    assert get_type_hints(edgetl.RunResult)["targets"]
    assert get_type_hints(edgetl.PlanResult)["steps"]


def test_every_public_function_is_in_the_documentation() -> None:
    text = (_SOURCE.parents[1] / "docs" / "python.md").read_text(encoding="utf-8")
    assert [name for name in _FUNCTIONS if f"`{name}" not in text] == []
