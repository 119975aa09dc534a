"""Compile modules ahead: an emulated Python takes seconds to compile numpy at every start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def compile_modules(tree: Path, python: str) -> None:
    """Compile what lies below `tree` for Python `python`, if this Python is of that version.

    Another version's byte code would not be read, so then nothing is done and starts stay slow.
    What is no module of that version, such as a template, is left as it is.

    Args:
        tree: A folder that does not change any more; its sources are not looked at again.
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
