"""YOLOX-m (Ge et al. 2021, https://arxiv.org/abs/2107.08430)."""

from __future__ import annotations

from edgetl.models._yolox import Yolox

FAMILY = Yolox(stem=48, depth=2, weights="yolox_m.pth")
