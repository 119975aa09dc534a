"""Boards have old Pythons: the runtime uses nothing that Python 3.9 does not have."""

from __future__ import annotations

import ast
import builtins
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgetl.runtime.bundle import runtime_files

_FILES = runtime_files()
_NEWER_KEYWORDS = {"slots", "kw_only", "strict", "weakref_slot"}
_NEWER_NAMES = {
    "StrEnum", "Self", "TypeAlias", "ParamSpec", "TypeGuard", "assert_never", "override",
    "NotRequired", "pairwise", "batched", "aiter", "anext", "UTC", "file_digest", "bit_count",
    "ExceptionGroup", "chdir", "tomllib",
}  # fmt: skip


@pytest.mark.parametrize("name", _FILES)
def test_file_parses_as_python_3_9(name: str) -> None:
    ast.parse(_FILES[name].read_text(encoding="utf-8"), feature_version=(3, 9))


@pytest.mark.parametrize("name", _FILES)
def test_file_uses_nothing_newer(name: str) -> None:
    assert list(_newer(_FILES[name].read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("source", "construct"),
    [
        pytest.param("@dataclass(frozen=True, slots=True)\nclass A: ...", "slots=", id="slots"),
        pytest.param("zip(a, b, strict=True)", "strict=", id="zip"),
        pytest.param("from enum import StrEnum", "StrEnum", id="import"),
        pytest.param("datetime.UTC", "UTC", id="attribute"),
        pytest.param("isinstance(a, int | str)", "|", id="union in a call"),
        pytest.param("Kind = str | None", "|", id="union as a value"),
        pytest.param("match a:\n    case 1: ...", "match", id="match"),
        pytest.param("def f(a: int) -> str: ...", "annotations", id="annotations are evaluated"),
    ],
)
def test_newer_code_would_be_found(source: str, construct: str) -> None:
    assert construct in list(_newer(source))


def test_unions_in_annotations_are_never_evaluated() -> None:
    source = "from __future__ import annotations\ndef f(a: int | None) -> str | int: ..."
    assert list(_newer(source)) == []


def _newer(source: str) -> Iterator[str]:
    tree = ast.parse(source)
    annotations = [
        annotation
        for node in ast.walk(tree)
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if annotation is not None
    ]
    inside = {id(node) for annotation in annotations for node in ast.walk(annotation)}
    postponed = any(
        isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body
    )
    if annotations and not postponed:
        yield "annotations"
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg in _NEWER_KEYWORDS:
            yield f"{node.arg}="
        elif isinstance(node, ast.Attribute) and node.attr in _NEWER_NAMES:
            yield node.attr
        elif isinstance(node, ast.alias) and node.name in _NEWER_NAMES:
            yield node.name
        elif isinstance(node, ast.Match):
            yield "match"
        elif isinstance(node, ast.BinOp) and id(node) not in inside and _is_union(node):
            yield "|"


def _is_union(node: ast.BinOp) -> bool:
    return isinstance(node.op, ast.BitOr) and any(map(_is_type, (node.left, node.right)))


def _is_type(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return node.value is None
    return isinstance(node, ast.Name) and isinstance(getattr(builtins, node.id, None), type)


def test_package_parses_on_pythons_that_it_refuses() -> None:
    source = _FILES["edgetl/runtime/__init__.py"].read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 7))
    # Python 3.6 knows no postponed annotations, so there must be none.
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
                and node.module == "__future__"]  # fmt: skip
    ast.parse(_FILES["edgetl/__init__.py"].read_text(encoding="utf-8"), feature_version=(3, 7))


def test_older_python_is_one_sentence_of_the_command() -> None:
    done = _import_on_python_3_6("sys.argv = ['-m']")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == (
        f"edgetl.runtime: Python 3.9 or newer is needed, and {sys.executable} is Python 3.6\n"
        "  run it with a newer one, for example python3.11\n"
    )


def test_older_python_is_an_import_error_of_a_program() -> None:
    done = _import_on_python_3_6("")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: edgetl.runtime: Python 3.9 or newer is needed, and {sys.executable} is "
        "Python 3.6; run it with a newer one, for example python3.11"
    )


def _import_on_python_3_6(before: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys\n{before}\nsys.version_info = (3, 6, 9)\nimport edgetl.runtime"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_every_file_of_the_runtime_is_looked_at() -> None:
    package = Path(next(iter(_FILES.values()))).parent
    assert len(_FILES) == 1 + len(list((package / "runtime").rglob("*.py")))
