"""The part of a new recipe for classification."""

from __future__ import annotations

from edgetl.tasks import RecipeTemplate

_IMAGES_FOR_256 = 260
_IMAGES_FOR_128 = 130

_BODY = """\
# Unreadable images, empty classes and duplicates are errors, unless they may be dropped:
#   drop: [unreadable, empty-classes, duplicates]

# The network's input. letterbox keeps the aspect ratio and pads, stretch distorts, crop cuts out
# the centre.
input: {size: 160, fit: letterbox}

# The pretrained model to fine-tune. weights: imagenet downloads them once (torchvision); a .pth or
# .safetensors file, and none (random weights), need no network.
teacher: {family: mobilenet_v2, weights: imagenet}
finetune: {strategy: probe-then-full, epochs: 12}

# The small model that learns from the teacher and is deployed; without these two lines the teacher
# itself is deployed. control also trains it on labels alone, to show the teacher's benefit.
student: {family: mobilenet_v3_small, weights: imagenet}
distill: {method: dkd, epochs: 30, control: true}
"""


def _calibration(num_images: int) -> str:
    if num_images >= _IMAGES_FOR_256:
        return "balanced-256"
    return "random-128" if num_images >= _IMAGES_FOR_128 else "balanced-few"


RECIPE = RecipeTemplate(_BODY, _calibration)
