"""The agent that runs on a device during a connection and manages files, lock and processes.

The modules in this folder are sent as text to the device's Python, so they use only each other and
the standard library of Python 3.9 on Linux.
"""

from __future__ import annotations

from pathlib import Path

_MODULES = ("link", "lock", "cache", "memory", "serve")
"""In import order: each imports only earlier ones, and the last one defines ``main``."""


def sources() -> list[tuple[str, str]]:
    """Return the dotted name and the source of each module, in import order."""
    folder = Path(__file__).parent
    return [
        (f"{__name__}.{name}", (folder / f"{name}.py").read_text(encoding="utf-8"))
        for name in _MODULES
    ]
