"""Describe the machine and its Python packages as JSON; a script that runs on the device.

Uses only the standard library of Python 3.9. A fact that the system does not provide is null.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import sysconfig
from importlib import metadata
from pathlib import Path


def probe(packages: list[str], root: Path) -> dict[str, object]:
    """Return the facts.

    Args:
        packages: Distributions whose versions to report.
        root: Root of the file system; another folder than ``/`` in tests.
    """
    cpu = _cpuinfo(root)
    release = dict(
        line.split("=", 1) for line in _read(root / "etc/os-release").splitlines() if "=" in line
    )
    in_environment = sys.prefix != sys.base_prefix
    marker = Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    return {
        "machine": os.uname().machine,
        "os": release.get("PRETTY_NAME", "").strip('"') or None,
        "device_tree_model": _read(root / "proc/device-tree/model").strip("\0\n") or None,
        "tegra_release": _read(root / "etc/nv_tegra_release").partition("\n")[0] or None,
        "cpu_parts": sorted(set(cpu.get("CPU part", []))),
        "model_name": next(iter(cpu.get("model name", [])), None),
        "flags": sorted(set(" ".join(cpu.get("Features", cpu.get("flags", []))).split())),
        "cores": len(cpu.get("processor", [])) or os.cpu_count(),
        "memory_mib": _memory_mib(root),
        "python": platform.python_version(),
        "executable": sys.executable,
        "pip_is_refused": not in_environment and marker.exists(),
        "glibc": _glibc(),
        "packages": {name: _version(name) for name in packages},
    }


def _cpuinfo(root: Path) -> dict[str, list[str]]:
    """Return all values in ``/proc/cpuinfo`` by key, in the order of the cores."""
    values: dict[str, list[str]] = {}
    for line in _read(root / "proc/cpuinfo").splitlines():
        key, colon, value = line.partition(":")
        if colon:
            values.setdefault(key.strip(), []).append(value.strip())
    return values


def _memory_mib(root: Path) -> int | None:
    for line in _read(root / "proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    return None


def _glibc() -> str | None:
    library, version = platform.libc_ver()
    return version if library == "glibc" else None


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


if __name__ == "__main__":
    sys.stdout.write(json.dumps(probe(sys.argv[1:], Path("/"))))
