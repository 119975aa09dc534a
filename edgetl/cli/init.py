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
# Unreadable images, empty classes and duplicates are refused, unless they may be left out:
#   drop: [unreadable, empty-classes, duplicates]

# What the network sees. letterbox keeps the shape and pads, stretch distorts, crop cuts the centre.
input: {size: 160, fit: letterbox}

# The pretrained model that is fine-tuned. weights: imagenet downloads them once (torchvision);
# a .pth or .safetensors file and none (start from nothing) need no network.
teacher: {family: mobilenet_v2, weights: imagenet}
finetune: {strategy: probe-then-full, epochs: 12}

# The small model that learns from the teacher and goes to the devices; without these two lines the
# teacher itself goes. control trains it once more on labels only, to show what the teacher adds.
student: {family: mobilenet_v3_small, weights: imagenet}
distill: {method: dkd, epochs: 30, control: true}
"""

_DETECTION = """\
# What is wrong with images or boxes is refused by name, unless it may be left out, changed, or is
# meant to be so; these are keys of `data`:
#   drop: [unreadable, empty-classes, duplicates, bad-labels, bad-boxes, repeated-boxes,
#     stray-labels, unlabelled, wrong-sizes]
#   repair: [clip-boxes, scale-boxes]
#   accept: [background, missing-classes]    # images without labels show nothing to be found

# What the network sees; a multiple of 32. letterbox keeps the shape of images and pads.
input: {size: 416, fit: letterbox}

# The pretrained detector that is fine-tuned. weights: coco downloads them once (YOLOX); a .pth or
# .safetensors file and none (start from nothing) need no network.
teacher: {family: yolox_nano, weights: coco}
finetune: {epochs: 30, augment: strong}

# The small detector that learns from the teacher and goes to the devices; without these two lines
# the teacher itself goes. control trains it once more on labels only: what does the teacher add?
student: {family: mobilenet_v2_yolox, width: 0.5, weights: none}
distill: {method: pkd, epochs: 60, control: true}
"""


@click.command()
@click.argument("images", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace a recipe that is already there.")
def command(images: Path, *, force: bool) -> None:
    """Look at IMAGES, a folder or zip of labelled images, and write a commented recipe next to it.

    Folders that name classes make a recipe for classification; boxes in COCO, Pascal VOC or YOLO
    files make one for detection.

    \b
    edgetl init images           writes images/recipe.yaml
    edgetl init parts.zip        writes parts.yaml
    """
    is_folder = images.is_dir()
    if not is_folder and not (images.is_file() and zipfile.is_zipfile(images)):
        what = "is neither a folder nor a zip" if images.exists() else "does not exist"
        raise DataError(f"'{images}' {what}", remedy="give a folder or zip of labelled images")
    recipe = images / "recipe.yaml" if is_folder else images.with_suffix(".yaml")
    with open_images(images, None, (), find_task(images)) as opened:
        listing = opened.listing
    if recipe.exists() and not force:
        raise UsageError(
            f"'{recipe}' is already there", remedy="edit it, or replace it with --force"
        )
    recipe.write_text(
        _recipe(
            name=re.sub(r"[^A-Za-z0-9._-]+", "-", images.resolve().stem).strip("-._") or "images",
            path="." if is_folder else images.name,
            listing=listing,
        ),
        encoding="utf-8",
    )
    click.echo(f"{_what(listing)} in {images}")
    click.echo(f"wrote {recipe}")
    click.echo(f"next: edgetl plan {recipe}")


def _what(listing: Listing) -> str:
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
    quoted = json.dumps(path)  # a JSON string is a YAML string, whatever is in it
    body = _CLASSIFICATION if listing.task is Task.CLASSIFICATION else _DETECTION
    return f"""\
# What to make from which images, and for which devices. 'edgetl schema' lists every key.
name: {name}
task: {listing.task}

# {_what(listing)}; paths start at this file.
data: {{path: {quoted}, {schedule}}}
{body}
# The images that set the ranges of int8 files. Known: {calibrations}
calibration: {_calibration(listing)}

# Devices with their limits. Known: {targets}
targets: [host]
"""


def _calibration(listing: Listing) -> str:
    # Balanced-256 needs 256 training images; what is split off for val and test is not among them.
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
        # There is no test/: measure on val/ and take images of train/ to watch the training.
        return "test: val, val: 0.15, seed: 0"
    return f"{_FRACTIONS}, seed: 0"
