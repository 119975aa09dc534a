"""MobileNetV2 (Sandler et al. 2018, https://arxiv.org/abs/1801.04381)."""

from __future__ import annotations

from edgetl.models._mobilenet import MobileNet

FAMILY = MobileNet(
    builder="mobilenet_v2",
    # V1: the newer weights were trained with label smoothing and mixing of images, which raises
    # ImageNet accuracy but lowers that of a linear probe (Kornblith et al. 2021,
    # https://arxiv.org/abs/2010.16402).
    weights="MobileNet_V2_Weights.IMAGENET1K_V1",
    num_features=19,
    head="classifier.1",
)
