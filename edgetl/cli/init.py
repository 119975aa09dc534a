"""``edgetl init``: a commented recipe next to the user's images."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import click

from edgetl.config.load import known_files
from edgetl.data.container import what_else
from edgetl.data.image_sets import find_label_kind, open_images
from edgetl.data.listing_notes import notes_of
from edgetl.data.sources import Listing
from edgetl.errors import DataError, UsageError
from edgetl.tasks import TASKS, TaskPlugin, tasks_with
from edgetl.types import LabelKind, Split

_FRACTIONS = "val: 0.15, test: 0.20"
_TRAIN_SHARE = 0.65
_LAYOUT = re.compile(r"`data: \{layout: ([\w-]+)\}`")
_EXCLUDE = re.compile(r"`data: \{exclude: \[([^\]]*)\]\}`")


@click.command()
@click.argument("images", type=click.Path(path_type=Path))
@click.option("--layout", default="", help="Read this data layout where there are several.")
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Ignore these files, e.g. 'pred/*'; may be repeated.",
)
@click.option("--force", is_flag=True, help="Replace an existing recipe.")
def command(images: Path, layout: str, exclude: tuple[str, ...], *, force: bool) -> None:
    """Write a commented recipe for IMAGES, a folder or zip of labelled images, next to it.

    Folders named by class result in a recipe for classification, and so do tables with a class for
    each file; boxes in COCO, Pascal VOC, YOLO or other known files result in one for detection.

    \b
    edgetl init images                 writes images/recipe.yaml
    edgetl init parts.zip              writes parts.yaml
    edgetl init images --layout voc    where there are labels in several forms
    """
    is_folder = images.is_dir()
    if not is_folder and not (images.is_file() and zipfile.is_zipfile(images)):
        what, remedy = what_else(images)
        raise DataError(
            f"'{images}' {what}", remedy=remedy or "name a folder or zip of labelled images"
        )
    recipe = images / "recipe.yaml" if is_folder else images.with_suffix(".yaml")
    try:
        task = TASKS.load(tasks_with(find_label_kind(images, exclude, layout))[0])
        with open_images(images, None, exclude, task.data, layout=layout) as opened:
            listing = opened.listing
    except DataError as error:
        raise DataError(error.message, remedy=_as_options(error.remedy)) from error
    if recipe.exists() and not force:
        raise UsageError(f"'{recipe}' already exists", remedy="edit it, or replace it with --force")
    recipe.write_text(
        _recipe(
            name=re.sub(r"[^A-Za-z0-9._-]+", "-", images.resolve().stem).strip("-._") or "images",
            data=_data("." if is_folder else images.name, layout, exclude),
            task=task,
            listing=listing,
        ),
        encoding="utf-8",
    )
    click.echo(f"{_summary(listing)} in {images}")
    for note in notes_of(listing):
        click.echo(note)
    click.echo(f"wrote {recipe}")
    click.echo(f"next: edgetl plan {recipe}")


def _summary(listing: Listing) -> str:
    """Return for example `60 images of 6 classes`, `60 images with 151 boxes of 6 classes`."""
    count = len(listing.classes)
    classes = f"{count} {'class' if count == 1 else 'classes'}"
    if listing.label_kind is LabelKind.CLASSES:
        return f"{len(listing.samples)} images of {classes}"
    boxes = sum(len(sample.boxes) for sample in listing.samples)
    return f"{len(listing.samples)} images with {boxes} boxes of {classes}"


def _as_options(remedy: str) -> str:
    """Return a remedy that is written for a recipe, which does not exist yet, as options."""
    remedy = _LAYOUT.sub(r"`--layout \1`", remedy)
    return _EXCLUDE.sub(
        lambda match: "`" + " ".join(f"--exclude {each}" for each in match[1].split(", ")) + "`",
        remedy,
    ).replace("--exclude ...", "--exclude PATTERN")


def _data(path: str, layout: str, exclude: tuple[str, ...]) -> str:
    """Return the entries of the recipe's table `data` but those for splits."""
    entries = [f"path: {json.dumps(path)}"]  # every JSON string is a valid YAML string
    if layout:
        entries.append(f"layout: {layout}")
    if exclude:
        entries.append(f"exclude: {json.dumps(exclude)}")
    return ", ".join(entries)


def _recipe(*, name: str, data: str, task: TaskPlugin, listing: Listing) -> str:
    schedule = _splits(listing)
    calibrations = ", ".join(sorted(known_files("calibration")))
    targets = ", ".join(sorted(known_files("targets")))
    # What is split off for val and test is not calibrated with.
    rest = sum(sample.split in {None, Split.TRAIN} for sample in listing.samples) * _TRAIN_SHARE
    return f"""\
# A recipe: data, models and target devices. 'edgetl schema' lists every key.
name: {name}
task: {task.data.task}

# {_summary(listing)}; paths start at this file.
data: {{{data}, {schedule}}}
{task.recipe.body}
# The images that determine the ranges of int8 files. Known: {calibrations}
calibration: {task.recipe.calibration(rest)}

# Devices with their limits. Known: {targets}
targets: [host]
"""


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
