"""Settings for all tests: few threads, so that parallel workers do not fight over the cores.

Also environments that hold some of the installed distributions and no others, and a way to
install a package that adds plug-ins.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import pytest

from edgetl.runtime import installed

# Read by OpenMP and by edgetl's child processes; must be set before a framework is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell starts background jobs with Ctrl-C ignored, and children inherit that: the programs that
# tests stop by it would not hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def environment() -> Callable[[Path, Sequence[str]], Path]:
    """Return what makes a virtual environment in a folder and returns its Python.

    It contains the named distributions and what they require, as links to those installed here.
    """
    return _environment


def _environment(folder: Path, distributions: Sequence[str]) -> Path:
    venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
    (site,) = folder.glob("lib/python*/site-packages")
    for name in _with_requirements(distributions):
        files = metadata.files(name) or []
        tops = {file.parts[0] for file in files} - {"..", "__pycache__"}
        for top in tops:
            (site / top).symlink_to(str(metadata.distribution(name).locate_file(top)))
    return folder / "bin" / "python"


def _with_requirements(distributions: Sequence[str]) -> set[str]:
    """Return the distributions with all that they require, without extras."""
    complete: set[str] = set()
    left = list(distributions)
    while left:
        name = left.pop()
        if name in complete:
            continue
        complete.add(name)
        required = [line for line in metadata.requires(name) or [] if ";" not in line]
        left += [re.split(r"[^A-Za-z0-9._-]", line)[0] for line in required]
    return complete


@pytest.fixture
def install_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, Mapping[str, str], Mapping[str, Mapping[str, str]]], Path]]:
    """Return a function that installs version 0.3 of a package on this process's path.

    It takes the distribution's name, its files, and its entry points by group, and returns the
    folder that it lies in. The package is forgotten when the test ends.
    """
    before = set(sys.modules)
    folders: list[Path] = []

    def install(
        name: str, files: Mapping[str, str], entry_points: Mapping[str, Mapping[str, str]]
    ) -> Path:
        folder = tmp_path / f"site-{name}"
        folders.append(folder)
        lines = [
            line
            for group, entries in entry_points.items()
            for line in (f"[{group}]", *(f"{key} = {value}" for key, value in entries.items()))
        ]
        description = f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.3\n"
        info = f"{name.replace('-', '_')}-0.3.dist-info"
        written = {
            **files,
            f"{info}/METADATA": description,
            f"{info}/entry_points.txt": "\n".join(lines) + "\n",
        }
        for path, text in written.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(folder)
        installed._by_group.cache_clear()
        return folder

    yield install
    installed._by_group.cache_clear()
    for module in set(sys.modules) - before:
        file = getattr(sys.modules[module], "__file__", None)
        if file is not None and any(folder in Path(file).parents for folder in folders):
            del sys.modules[module]
