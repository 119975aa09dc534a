from __future__ import annotations

import torch
from torch import nn

from edgetl.nn.multi_scale_backbone import MultiScaleBackbone
from edgetl.nn.yolox import ConvFactory


def test_maps_of_the_taps_come_back_with_the_channels_of_the_neck() -> None:
    blocks = nn.Sequential(*(nn.Conv2d(given, given + 1, 3, 2, 1) for given in (3, 4, 5, 6, 7, 8)))
    convs = ConvFactory(depthwise=True, activation=nn.ReLU6)
    backbone = MultiScaleBackbone(blocks, (2, 3, 4), (8, 16, 32), convs).eval()

    with torch.inference_mode():
        maps = backbone(torch.zeros(1, 3, 64, 64))

    assert [tuple(each.shape) for each in maps] == [(1, 8, 8, 8), (1, 16, 4, 4), (1, 32, 2, 2)]
    assert len(backbone.features) == 5
    assert [name for name, _ in backbone.named_children()] == ["features", "reduce"]
