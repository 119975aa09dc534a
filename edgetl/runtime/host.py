"""Identify the machine and measure the memory of this process."""

from __future__ import annotations

import platform
from pathlib import Path

from edgetl.runtime.cores import usable_cores


def fingerprint() -> dict[str, str | int | None]:
    """Return the properties that affect timing, as plain JSON; None where unknown."""
    return {
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": usable_cores(),
        "kernel": platform.release(),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
    }


def peak_memory_bytes() -> int | None:
    """Return the peak resident memory of this process, or None if unknown.

    Read from ``VmHWM``: `resource.getrusage` also counts memory inherited from the parent process.
    """
    status = _read("/proc/self/status") or ""
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def available_memory_bytes() -> int | None:
    """Return the memory that new processes can use without swapping, or None if unknown."""
    for line in (_read("/proc/meminfo") or "").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _processor() -> str | None:
    info = _read("/proc/cpuinfo") or ""
    for line in info.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    # Arm kernels name the board instead.
    board = _read("/proc/device-tree/model")
    return board.strip("\0") if board else None


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
