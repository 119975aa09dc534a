"""MobileNetV3-small (Howard et al. 2019, https://arxiv.org/abs/1905.02244)."""

from __future__ import annotations

from edgetl.models._mobilenet import V3_NORM, MobileNet

FAMILY = MobileNet(
    builder="mobilenet_v3_small",
    weights="MobileNet_V3_Small_Weights.IMAGENET1K_V1",
    num_features=13,
    head="classifier.3",
    hidden=("classifier.0",),
    norm=V3_NORM,
)
