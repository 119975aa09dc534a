"""How much memory a new program can get."""

from __future__ import annotations

from pathlib import Path

_KEYS = ("MemAvailable", "SwapFree")


def free_bytes(root: Path = Path("/")) -> int | None:
    """Return the bytes that are free or can be freed, swap included; None where nothing says so.

    Args:
        root: Where the system's files are, another folder only in tests.
    """
    try:
        lines = (root / "proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    pairs = (line.partition(":") for line in lines)
    found = {key: value.strip().partition(" ")[0] for key, _, value in pairs}
    if not all(found.get(key, "").isdigit() for key in _KEYS):
        return None
    return 1024 * sum(int(found[key]) for key in _KEYS)
