"""The part of a new recipe for detection."""

from __future__ import annotations

from edgetl.tasks import RecipeTemplate

_IMAGES_FOR_100 = 102
_IMAGES_FOR_32 = 34

_BODY = """\
# Problems of images or boxes are errors, unless you allow to drop, repair or accept them by name,
# with these keys of `data`:
#   drop: [unreadable, empty-classes, duplicates, bad-labels, bad-boxes, repeated-boxes,
#     stray-labels, unlabelled, wrong-sizes]
#   repair: [clip-boxes, scale-boxes, turn-boxes, swap-sizes, enclose-outlines, corner-boxes,
#     pixel-boxes, fraction-boxes]
#   accept: [background, missing-classes]    # images without labels contain no objects

# The network's input; a multiple of 32. letterbox keeps the aspect ratio and pads.
input: {size: 416, fit: letterbox}

# The pretrained detector to fine-tune. weights: coco downloads them once (YOLOX); a .pth or
# .safetensors file, and none (random weights), need no network.
teacher: {family: yolox_nano, weights: coco}
finetune: {epochs: 30, augment: strong}

# The small detector that learns from the teacher and is deployed; without these two lines the
# teacher itself is deployed. control also trains it on labels alone, to show the teacher's benefit.
student: {family: mobilenet_v2_yolox, width: 0.5, weights: none}
distill: {method: pkd, epochs: 60, control: true}
"""


def _calibration(num_images: int) -> str:
    if num_images >= _IMAGES_FOR_100:
        return "detection-100"
    return "detection-32" if num_images >= _IMAGES_FOR_32 else "detection-few"


RECIPE = RecipeTemplate(_BODY, _calibration)
