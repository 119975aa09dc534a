"""A chain of blocks as the backbone of a detector."""

from __future__ import annotations

from torch import Tensor, nn

from edgetl.nn.yolox import ConvFactory


class MultiScaleBackbone(nn.Module):
    """Blocks of a classifier, with the outputs of three of them mapped to the neck's channels."""

    def __init__(
        self,
        features: nn.Sequential,
        feature_layers: tuple[int, int, int],
        channels: tuple[int, int, int],
        convs: ConvFactory,
    ) -> None:
        """Describe the backbone.

        Args:
            features: The blocks; those after the last feature layer are dropped.
            feature_layers: Positions of the last blocks of stride 8, 16 and 32.
            channels: Of the three maps that are returned.
            convs: Makes the convolutions that map to `channels`.
        """
        super().__init__()
        self.features = features[: feature_layers[-1] + 1]
        self.feature_layers = feature_layers
        self.reduce = nn.ModuleList(
            convs.pointwise(_channels_out(features[layer]), count)
            for layer, count in zip(feature_layers, channels, strict=True)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the maps of stride 8, 16 and 32."""
        scales: list[Tensor] = []
        maps = images
        for position, block in enumerate(self.features):
            maps = block(maps)
            if position in self.feature_layers:
                scales.append(self.reduce[len(scales)](maps))
        third, fourth, fifth = scales
        return third, fourth, fifth


def _channels_out(block: nn.Module) -> int:
    return [layer for layer in block.modules() if isinstance(layer, nn.Conv2d)][-1].out_channels
