"""The YOLOX neck and head on MobileNetV2."""

from __future__ import annotations

from edgetl.models import mobilenet_v2
from edgetl.models._yolox import MobileNetYolox

FAMILY = MobileNetYolox(mobilenet_v2.FAMILY, backbone_layers=(6, 13, 17))
