"""Compile modules ahead: an emulated Python takes seconds to compile numpy at every start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def compile_modules(tree: Path, python: str) -> None:
    """Compile the modules below `tree` for Python `python`, if that is this Python's version.

    Otherwise nothing is compiled, since the device would not read the byte code, and it starts
    slowly. Files that do not compile, such as templates, are skipped.

    Args:
        tree: A folder that no longer changes; Python does not compare the sources again.
        python: For example ``3.11``.
    """
    major, minor = sys.version_info[:2]
    if python != f"{major}.{minor}":
        return
    command = [sys.executable, "-W", "ignore", "-m", "compileall", "-q", "-q", "-j", "0"]
    command += ["--invalidation-mode", "unchecked-hash", str(tree)]
    subprocess.run(  # noqa: S603 - our own interpreter
        command, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
