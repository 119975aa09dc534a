"""The YOLOX neck and head on MobileNetV3-large."""

from __future__ import annotations

from edgetl.models import mobilenet_v3_large
from edgetl.models._yolox import MobileNetYolox

FAMILY = MobileNetYolox(mobilenet_v3_large.FAMILY, backbone_layers=(6, 12, 15))
