"""The torch model as it is deployed: raw pixels in, answers out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # planning must not wait for torch, nor for numpy
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn


def outputs_of(
    network: nn.Module, pixels: NDArray[np.uint8], names: tuple[str, ...]
) -> dict[str, NDArray[np.float32]]:
    """Return what `network` answers, one photo at a time, as a device would ask.

    Args:
        network: As `edgetl.models.deployable` returns it.
        pixels: Shape ``(N, H, W, 3)``, N at least 1.
        names: Of its outputs, in their order.

    Returns:
        Arrays of shape ``(N, ...)`` by name.
    """
    import torch

    rows = []
    with torch.inference_mode():
        for image in pixels:
            answer = network(torch.from_numpy(image[None].astype("float32")))
            rows.append((answer,) if isinstance(answer, torch.Tensor) else answer)
    return {
        name: torch.cat([row[position] for row in rows]).numpy()
        for position, name in enumerate(names)
    }
