"""Imports go down only, siblings never import each other, frameworks stay where they belong."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import edgetl

_ROOT = Path(edgetl.__file__).parent

_LAYERS = (
    ("cli", "__main__"),
    ("api",),
    ("pipeline", "report", "gate", "estimator"),
    ("stages",),
    ("boards",),
    ("exporters", "quantizers", "graph_lint", "devices"),
    ("tasks",),
    ("train",),
    ("models",),
    ("nn",),
    ("evaluation",),
    ("data",),
    ("store",),
    ("facts",),
    ("config",),
    ("plugins",),
    ("worker",),
    ("runtime",),
    ("errors", "hashing", "placeholder"),
    ("types",),
)
_RANK = {name: rank for rank, names in enumerate(_LAYERS) for name in names}
_FRAMEWORKS = {
    "torch", "torchvision", "lightning_fabric", "onnx", "onnxruntime", "openvino", "nncf",
    "litert_torch", "ai_edge_litert", "ai_edge_quantizer", "tensorboard", "safetensors",
}  # fmt: skip
_FRAMEWORK_ROOMS = (
    "exporters/", "quantizers/", "graph_lint/", "nn/", "models/", "train/", "runtime/engines/",
    "estimator/",
)  # fmt: skip
_FRAMEWORK_FILES = (
    "data/loaders.py", "data/augment.py", "tasks/classification/classifiers.py",
    "tasks/classification/validation.py", "tasks/detection/detectors.py",
    "tasks/detection/feature_distillation.py",
)  # fmt: skip
_RUNTIME_MAY = {"numpy", "PIL", "onnxruntime", "openvino", "ai_edge_litert", "tflite_runtime"}

_FILES = sorted(path.relative_to(_ROOT).as_posix() for path in _ROOT.rglob("*.py"))


@pytest.mark.parametrize("name", _FILES)
def test_imports_go_down_only(name: str) -> None:
    room = Path(name).parts[0].removesuffix(".py")
    if room == "__init__":
        return
    for imported, _ in _imports(name):
        parts = imported.split(".")
        if parts[0] != "edgetl" or len(parts) == 1 or parts[1] in {room, "__version__"}:
            continue
        if room == "__main__" and parts[1] == "cli":
            continue
        assert _RANK[parts[1]] > _RANK[room], f"{name} imports {imported}"


@pytest.mark.parametrize("name", _FILES)
def test_private_modules_are_imported_by_their_own_room_only(name: str) -> None:
    room = Path(name).parts[0].removesuffix(".py")
    for imported, _ in _imports(name):
        parts = imported.split(".")
        if parts[0] == "edgetl" and len(parts) > 1 and parts[1] != room:
            private = [part for part in parts[1:] if part.startswith("_") and part[1] != "_"]
            assert not private, f"{name} imports {imported}"


@pytest.mark.parametrize("name", _FILES)
def test_frameworks_are_imported_at_the_top_only_where_they_belong(name: str) -> None:
    if name.startswith(_FRAMEWORK_ROOMS) or name in _FRAMEWORK_FILES:
        return
    top = {imported.split(".")[0] for imported, is_top in _imports(name) if is_top}
    assert not top & _FRAMEWORKS


@pytest.mark.parametrize("name", [name for name in _FILES if name.startswith("runtime/")])
def test_runtime_needs_nothing_but_numpy_pillow_and_an_engine(name: str) -> None:
    import sys

    for imported, _ in _imports(name):
        top = imported.split(".")[0]
        if top == "edgetl":
            assert imported == "edgetl" or imported.startswith("edgetl.runtime"), imported
        else:
            assert top in _RUNTIME_MAY or top in sys.stdlib_module_names, f"{name}: {imported}"


def _imports(name: str) -> Iterator[tuple[str, bool]]:
    tree = ast.parse((_ROOT / name).read_text(encoding="utf-8"))
    at_run = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.If)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) not in at_run
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{name}: relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}" if node.module == "edgetl" else node.module
                yield full, id(node) not in at_run
