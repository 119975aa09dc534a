"""The device and precision in which a network is computed."""

from __future__ import annotations

import torch
from lightning_fabric import Fabric

from edgetl.errors import EdgetlError, ExitCode
from edgetl.runtime.cores import usable_cores


class DeviceMissingError(EdgetlError):
    """The training needs hardware that this machine does not have."""

    exit_code = ExitCode.CONFIG


def open_fabric(device: str, *, mixed_precision: bool) -> Fabric:
    """Return a Fabric that moves networks to a device and computes there in the right precision.

    Args:
        device: `cpu`, `cuda`, or `auto`, which uses a GPU if there is one.
        mixed_precision: Compute in 16 bits on a GPU; never on a CPU, which would be slower.

    Raises:
        DeviceMissingError: If `cuda` is requested and there is no GPU.
    """
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise DeviceMissingError(
            "`device: cuda` is requested, but torch finds no GPU on this machine",
            remedy="set `device: auto` or `device: cpu` in the recipe, or install torch with CUDA",
        )
    if device == "cpu" or not available:
        cores = usable_cores()
        if torch.get_num_threads() > cores:
            # torch does not see the quota of a container, and its waiting threads would use it up.
            torch.set_num_threads(cores)
        return Fabric(accelerator="cpu", devices=1, precision="32-true")
    if not mixed_precision:
        return Fabric(accelerator="cuda", devices=1, precision="32-true")
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return Fabric(accelerator="cuda", devices=1, precision="bf16-mixed")
    return Fabric(accelerator="cuda", devices=1, precision="16-mixed")
