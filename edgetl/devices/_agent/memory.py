"""Memory available to a new program."""

from __future__ import annotations

from pathlib import Path

_KEYS = ("MemAvailable", "SwapFree")


def free_bytes(root: Path = Path("/")) -> int | None:
    """Return the available bytes, including swap; None if the system does not report them.

    Args:
        root: Root of the file system; another folder only in tests.
    """
    try:
        lines = (root / "proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    pairs = (line.partition(":") for line in lines)
    kibibytes = {key: value.strip().partition(" ")[0] for key, _, value in pairs}
    if not all(kibibytes.get(key, "").isdigit() for key in _KEYS):
        return None
    return 1024 * sum(int(kibibytes[key]) for key in _KEYS)
