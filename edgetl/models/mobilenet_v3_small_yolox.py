"""The YOLOX neck and head on MobileNetV3-small."""

from __future__ import annotations

from edgetl.models import mobilenet_v3_small
from edgetl.models._yolox import MobileNetYolox

FAMILY = MobileNetYolox(mobilenet_v3_small.FAMILY, backbone_layers=(3, 8, 11))
