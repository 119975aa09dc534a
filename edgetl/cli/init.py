"""``edgetl init``: a commented recipe next to the user's images."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import click

from edgetl.config.load import known_files
from edgetl.data.image_sets import find_task, open_images
from edgetl.data.sources import Listing
from edgetl.errors import DataError, UsageError
from edgetl.types import Split, Task

_FRACTIONS = "val: 0.15, test: 0.20"
_TRAIN_SHARE = 0.65
_IMAGES_FOR_256 = 260
_IMAGES_FOR_100 = 102

_CLASSIFICATION = """\
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

_DETECTION = """\
# Problems of images or boxes are errors, unless you allow to drop, repair or accept them by name,
# with these keys of `data`:
#   drop: [unreadable, empty-classes, duplicates, bad-labels, bad-boxes, repeated-boxes,
#     stray-labels, unlabelled, wrong-sizes]
#   repair: [clip-boxes, scale-boxes]
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


@click.command()
@click.argument("images", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace an existing recipe.")
def command(images: Path, *, force: bool) -> None:
    """Write a commented recipe for IMAGES, a folder or zip of labelled images, next to it.

    Folders named by class result in a recipe for classification; boxes in COCO, Pascal VOC or YOLO
    files in one for detection.

    \b
    edgetl init images           writes images/recipe.yaml
    edgetl init parts.zip        writes parts.yaml
    """
    is_folder = images.is_dir()
    if not is_folder and not (images.is_file() and zipfile.is_zipfile(images)):
        what = "is neither a folder nor a zip" if images.exists() else "does not exist"
        raise DataError(f"'{images}' {what}", remedy="name a folder or zip of labelled images")
    recipe = images / "recipe.yaml" if is_folder else images.with_suffix(".yaml")
    with open_images(images, None, (), find_task(images)) as opened:
        listing = opened.listing
    if recipe.exists() and not force:
        raise UsageError(f"'{recipe}' already exists", remedy="edit it, or replace it with --force")
    recipe.write_text(
        _recipe(
            name=re.sub(r"[^A-Za-z0-9._-]+", "-", images.resolve().stem).strip("-._") or "images",
            path="." if is_folder else images.name,
            listing=listing,
        ),
        encoding="utf-8",
    )
    click.echo(f"{_summary(listing)} in {images}")
    click.echo(f"wrote {recipe}")
    click.echo(f"next: edgetl plan {recipe}")


def _summary(listing: Listing) -> str:
    """Return for example `60 images of 6 classes`, `60 images with 151 boxes of 6 classes`."""
    count = len(listing.classes)
    classes = f"{count} {'class' if count == 1 else 'classes'}"
    if listing.task is Task.CLASSIFICATION:
        return f"{len(listing.samples)} images of {classes}"
    boxes = sum(len(sample.boxes) for sample in listing.samples)
    return f"{len(listing.samples)} images with {boxes} boxes of {classes}"


def _recipe(*, name: str, path: str, listing: Listing) -> str:
    schedule = _splits(listing)
    calibrations = ", ".join(sorted(known_files("calibration")))
    targets = ", ".join(sorted(known_files("targets")))
    quoted = json.dumps(path)  # every JSON string is a valid YAML string
    body = _CLASSIFICATION if listing.task is Task.CLASSIFICATION else _DETECTION
    return f"""\
# A recipe: data, models and target devices. 'edgetl schema' lists every key.
name: {name}
task: {listing.task}

# {_summary(listing)}; paths start at this file.
data: {{path: {quoted}, {schedule}}}
{body}
# The images that determine the ranges of int8 files. Known: {calibrations}
calibration: {_calibration(listing)}

# Devices with their limits. Known: {targets}
targets: [host]
"""


def _calibration(listing: Listing) -> str:
    # balanced-256 needs 256 training images, after splitting off those for val and test.
    rest = sum(sample.split in {None, Split.TRAIN} for sample in listing.samples) * _TRAIN_SHARE
    if listing.task is Task.DETECTION:
        return "detection-100" if rest >= _IMAGES_FOR_100 else "detection-32"
    return "balanced-256" if rest >= _IMAGES_FOR_256 else "random-128"


def _splits(listing: Listing) -> str:
    if not listing.given:
        return f"{_FRACTIONS}, seed: 0"
    if Split.TEST in listing.given and Split.VAL in listing.given:
        return "seed: 0"
    if Split.TEST in listing.given:
        return "val: 0.15, seed: 0"
    if Split.VAL in listing.given:
        # Without test/, test on val/, and split off images of train/ for validation.
        return "test: val, val: 0.15, seed: 0"
    return f"{_FRACTIONS}, seed: 0"
