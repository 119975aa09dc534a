"""Runs on a device by itself: print what the machine is, and what its Python has, as JSON.

Standard library of Python 3.9 and nothing of edgetl. What a system does not say is null.
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
        packages: Distributions whose versions are asked for.
        root: Where the system's files are: ``/``.
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
    """Return every value of ``/proc/cpuinfo`` by its key, in the order of the cores."""
    fields: dict[str, list[str]] = {}
    for line in _read(root / "proc/cpuinfo").splitlines():
        key, colon, value = line.partition(":")
        if colon:
            fields.setdefault(key.strip(), []).append(value.strip())
    return fields


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
