"""What runs on a device while edgetl is connected: keeps its files, its lock and its processes.

The files of this folder are sent as text to the device's Python, so they need the standard library
of Python 3.9 on Linux and nothing else but each other; `sources` says in which order.
"""

from __future__ import annotations

from pathlib import Path

_MODULES = ("link", "lock", "cache", "memory", "serve")
"""Each imports only those before it; the last one has ``main``."""


def sources() -> list[tuple[str, str]]:
    """Return the dotted name and the text of every module, in the order to run them."""
    folder = Path(__file__).parent
    return [
        (f"{__name__}.{name}", (folder / f"{name}.py").read_text(encoding="utf-8"))
        for name in _MODULES
    ]
