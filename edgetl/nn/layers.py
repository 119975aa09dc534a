"""Layers that carry the model contract into the graph."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

_WHITE = 255.0


class RawPixels(nn.Module):
    """A network that takes raw pixels: it is exported, and runs on a device.

    Scaling, mean, standard deviation and layout are part of the graph, so they cannot go wrong
    later. A network that takes unnormalised pixels needs no operation for them.

    Attributes:
        module: Takes float32 `(N, 3, H, W)`, normalised, and returns the outputs.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self, module: nn.Module, mean: Sequence[float], std: Sequence[float], *, row: int = 1
    ) -> None:
        """Wrap `module`.

        Args:
            module: The network; not copied.
            mean: Of the normalisation, per channel, for pixels in [0, 1].
            std: Of the normalisation, per channel, for pixels in [0, 1].
            row: Number of pixels that the constants cover: 1, or the width of all images. Engines
                process as many values at a time as the constants have; with three, the arithmetic
                on pixels can take as long as the rest of a small network.
        """
        super().__init__()
        self.module = module
        self.as_they_are = all(value == 0.0 for value in mean) and all(
            value * _WHITE == 1.0 for value in std
        )
        # One subtraction and one multiplication per pixel: all constants are folded here.
        self.register_buffer("mean", (torch.tensor(mean) * _WHITE).repeat(row, 1))
        self.register_buffer("scale", (1.0 / (torch.tensor(std) * _WHITE)).repeat(row, 1))

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return the outputs of `module`.

        Args:
            image: Shape `(N, H, W, 3)`, float32 in 0..255, RGB.
        """
        normalised = image if self.as_they_are else (image - self.mean) * self.scale
        outputs: Tensor | tuple[Tensor, ...] = self.module(normalised.permute(0, 3, 1, 2))
        return outputs
