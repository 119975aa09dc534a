"""How much memory the processes of a run may use together."""

from __future__ import annotations

from pathlib import Path

from edgetl.runtime.cores import control_groups

_BYTES_PER_KIB = 1024


def available_bytes(root: Path = Path("/")) -> int | None:
    """Return the memory that new processes can get, None if unknown.

    The system's available memory, or less where a control group leaves less.

    Args:
        root: Root of the file system; another folder only in tests.
    """
    values = [
        left for group in control_groups("memory", root) if (left := _left(group)) is not None
    ]
    for line in _read(root / "proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            values.append(int(rest.split()[0]) * _BYTES_PER_KIB)
    return min(values, default=None)


def _left(group: Path) -> int | None:
    """Return what is left of the limit of a control group, in version 2 or 1 of the interface."""
    for limit_file, used_file, cache in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit, used = _read(group / limit_file), _read(group / used_file)
        if limit.isdecimal() and used.isdecimal():
            # The group's page cache counts as used, but gives way.
            return max(0, int(limit) - int(used) + _field(_read(group / "memory.stat"), cache))
    return None


def _field(table: str, name: str) -> int:
    rows = (line.split() for line in table.splitlines())
    return next((int(row[1]) for row in rows if row[:1] == [name]), 0)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
