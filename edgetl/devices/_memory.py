"""Refuse a model that cannot fit into a device's memory, before it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgetl.errors import DeviceError

_BYTES_PER_MIB = 1 << 20


def require_memory(device: str, files: Mapping[str, Path], free_bytes: int | None) -> None:
    """Raise an error if one of `files` is larger than the available memory.

    Every engine reads a model's whole file and needs about as much again while it loads it, so this
    refuses only models that cannot run. A slightly smaller model may still be killed later.

    Args:
        device: Name of the device in messages.
        files: Files to be sent.
        free_bytes: Available memory of the device; None if unknown, then nothing is refused.

    Raises:
        DeviceError: If a file is larger.
    """
    if free_bytes is None:
        return
    for name, path in files.items():
        size = path.stat().st_size
        if size > free_bytes:
            raise DeviceError(
                f"device '{device}' has {free_bytes // _BYTES_PER_MIB} MiB of memory free, "
                f"including swap, and '{name}' alone is {size // _BYTES_PER_MIB} MiB; it was not "
                "sent",
                remedy="use a smaller model (int8, a narrower student), stop other programs "
                "there, or use a board with more memory",
            )
