"""Refuse a model that cannot fit into a device's memory, before it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgetl.errors import DeviceError

_BYTES_PER_MIB = 1 << 20


def require_memory(device: str, files: Mapping[str, Path], free_bytes: int | None) -> None:
    """Raise if one of `files` is larger than the memory that a new program can get.

    Every engine reads the whole of a model's file, and needs about as much again while it loads,
    so this refuses only what cannot run; what is a little too large is known when it is killed.

    Args:
        device: What messages call the device.
        files: What is about to be sent.
        free_bytes: Of the device; None if it does not say, and nothing is refused.

    Raises:
        DeviceError: If one is.
    """
    if free_bytes is None:
        return
    for name, path in files.items():
        size = path.stat().st_size
        if size > free_bytes:
            raise DeviceError(
                f"device '{device}' has {free_bytes // _BYTES_PER_MIB} MiB of memory free, swap "
                f"included, and '{name}' alone is {size // _BYTES_PER_MIB} MiB; nothing of it was "
                "sent",
                remedy="make a smaller model (int8, a narrower student), end other programs "
                "there, or take a board with more memory",
            )
