"""Where a network is computed, and in which precision."""

from __future__ import annotations

import torch
from lightning_fabric import Fabric

from edgetl.errors import EdgetlError, ExitCode


class DeviceMissingError(EdgetlError):
    """A training is to run on hardware that this machine does not have."""

    exit_code = ExitCode.CONFIG


def open_fabric(device: str, *, mixed_precision: bool) -> Fabric:
    """Return what moves networks to a device and computes there in the right precision.

    Args:
        device: `cpu`, `cuda`, or `auto`, which takes a GPU if there is one.
        mixed_precision: Compute in 16 bits on a GPU; a CPU is slower that way and never does.

    Raises:
        DeviceMissingError: If `cuda` is asked for and there is no GPU.
    """
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise DeviceMissingError(
            "`device: cuda` is asked for, but torch finds no GPU on this machine",
            remedy="set `device: auto` or `device: cpu` in the recipe, or install a torch for CUDA",
        )
    if device == "cpu" or not available:
        return Fabric(accelerator="cpu", devices=1, precision="32-true")
    if not mixed_precision:
        return Fabric(accelerator="cuda", devices=1, precision="32-true")
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return Fabric(accelerator="cuda", devices=1, precision="bf16-mixed")
    return Fabric(accelerator="cuda", devices=1, precision="16-mixed")
