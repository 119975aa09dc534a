"""MobileNetV3-large (Howard et al. 2019, https://arxiv.org/abs/1905.02244)."""

from __future__ import annotations

from torchvision.models import MobileNet_V3_Large_Weights, mobilenet_v3_large

from edgetl.models._mobilenet import V3_NORM, MobileNet

# V1 for the reason given in mobilenet_v2.py.
FAMILY = MobileNet(
    builder=mobilenet_v3_large,
    weights=MobileNet_V3_Large_Weights.IMAGENET1K_V1,
    head="classifier.3",
    taps=("features.6", "features.12", "features.16"),
    norm=V3_NORM,
)
