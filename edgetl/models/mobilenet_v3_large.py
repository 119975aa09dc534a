"""MobileNetV3-large (Howard et al. 2019, https://arxiv.org/abs/1905.02244)."""

from __future__ import annotations

from edgetl.models._mobilenet import V3_NORM, MobileNet

FAMILY = MobileNet(
    builder="mobilenet_v3_large",
    # V1 for the reason given in mobilenet_v2.py.
    weights="MobileNet_V3_Large_Weights.IMAGENET1K_V1",
    num_features=17,
    head="classifier.3",
    hidden=("classifier.0",),
    norm=V3_NORM,
)
