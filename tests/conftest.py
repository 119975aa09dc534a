"""Settings for all tests: few threads, so that parallel workers do not fight over the cores.

Also environments that hold some of the installed distributions and no others.
"""

from __future__ import annotations

import os
import re
import signal
import venv
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

import pytest

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
