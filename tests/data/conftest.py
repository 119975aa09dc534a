from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

Tree = Mapping[str, bytes | None]
"""POSIX path to content; None for an empty folder."""


@pytest.fixture
def tree(tmp_path: Path) -> Callable[[Tree], Path]:
    """Write files below a folder."""

    def write(files: Tree) -> Path:
        root = tmp_path / "images"
        root.mkdir(exist_ok=True)
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.mkdir(exist_ok=True)
            else:
                path.write_bytes(content)
        return root

    return write


@pytest.fixture
def packed(tmp_path: Path) -> Callable[[Tree], Path]:
    """Write files into a zip."""

    def write(files: Tree) -> Path:
        path = tmp_path / "images.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name if content is not None else f"{name}/", content or b"")
        return path

    return write
