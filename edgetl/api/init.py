"""``edgetl.init``: a commented recipe next to the user's images."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import yaml

from edgetl.api.arguments import PathLike, as_flag, as_path, as_text, as_texts
from edgetl.config.limits import Limits
from edgetl.config.load import known_files
from edgetl.config.recipe import Accept, DataTable, Drop
from edgetl.data.audit import Audit
from edgetl.data.class_checks import ONE_CLASS
from edgetl.data.container import what_else
from edgetl.data.findings import Finding, report_of
from edgetl.data.image_sets import Images, find_label_kind, open_images
from edgetl.data.listing_notes import few
from edgetl.data.overview import (
    all_notes_of,
    audit_names,
    contents_of,
    facts_of,
    notes_of_sizes,
    some_sizes,
    summarise_sizes,
)
from edgetl.data.sources import Listing
from edgetl.data.splits import choose_split_policy
from edgetl.errors import DataError, UsageError
from edgetl.facts.dataset import DataOverview
from edgetl.report.data_table import data_table
from edgetl.report.small_test import small_test_lines
from edgetl.tasks import TASKS, TaskPlugin, tasks_with
from edgetl.types import LabelKind, Role, Split

_MAX_CONTENTS = 5_000
"""Images with boxes up to which their contents are read, which decide on the splits: there every
class counts that has few boxes."""
_LAYOUT = re.compile(r"`data: \{layout: ([\w-]+)\}`")
_EXCLUDE = re.compile(r"`data: \{exclude: \[([^\]]*)\]\}`")


@dataclass(frozen=True, slots=True, repr=False)
class InitResult:
    """A new recipe and what its images hold; its text is what ``edgetl init`` prints."""

    recipe: Path
    """The file that was written."""
    images: Path
    """As they were given."""
    summary: str
    """For example ``60 images of 6 classes``."""
    data: DataOverview
    """Classes, splits and sizes."""
    allowed: tuple[Finding, ...]
    """What the audit found and the recipe allows, because it does no harm."""
    unsettled: tuple[Finding, ...]
    """What must be settled before the recipe can be planned."""

    def lines(self) -> Iterator[str]:
        """Yield what ``edgetl init`` prints, line by line."""
        yield f"{self.summary} in {self.images}"
        yield data_table(self.data)
        yield from small_test_lines(self.data.facts.images[Split.TEST], [Limits()])
        for finding in self.allowed:
            yield f"{finding.title}, which the recipe allows: {few(finding.examples)}"
        yield f"wrote {self.recipe}"
        if self.unsettled:
            yield "before it can be planned, settle this:"
            yield report_of(self.unsettled)
        yield f"next: edgetl plan {self.recipe}"

    def __repr__(self) -> str:
        """Return what ``edgetl init`` prints."""
        return "\n".join(self.lines())


def init(
    images: PathLike, *, layout: str = "", exclude: Sequence[str] = (), force: bool = False
) -> InitResult:
    """Write a commented recipe next to labelled images.

    Folders named by class result in a recipe for classification, and so do tables with a class for
    each file; boxes in COCO, Pascal VOC, YOLO or other known files result in one for detection.

    Args:
        images: A folder or zip; the recipe is ``recipe.yaml`` in the folder, or bears the name of
            the zip.
        layout: Data layout to read where there are several; see `list_layouts`.
        exclude: Patterns of files to ignore, such as ``pred/*``.
        force: Replace an existing recipe.

    Raises:
        UsageError: If an argument is of the wrong type, or the recipe exists.
        DataError: If the images or labels cannot be used.
    """
    place = as_path("images", images)
    return _init(
        place,
        as_text("layout", layout),
        as_texts("exclude", exclude),
        force=as_flag("force", force),
    )


def _init(images: Path, layout: str, exclude: tuple[str, ...], *, force: bool) -> InitResult:
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
            path = "." if is_folder else images.name
            first_draft = _Draft.of(opened, _entries(path, layout, exclude, opened.listing))
            draft = first_draft.settled(opened)
            if draft.has_one_class:
                draft.audit.refuse_if_wrong(str(images))
            sizes = some_sizes(opened)
            overview = DataOverview(
                facts=facts_of(Role.DATA, task.data.task, draft.audit, opened.listing),
                sizes=summarise_sizes(sizes.values()),
                notes=(*all_notes_of(opened.listing), *notes_of_sizes(sizes)),
            )
            listing = opened.listing
    except DataError as error:
        raise DataError(error.message, remedy=_as_options(error.remedy)) from error
    if recipe.exists() and not force:
        raise UsageError(f"'{recipe}' already exists", remedy="edit it, or replace it with --force")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", images.resolve().stem).strip("-._") or "images"
    recipe.write_text(_recipe(name, draft, task=task, listing=listing), encoding="utf-8")
    kept = draft.audit.findings
    return InitResult(
        recipe=recipe,
        images=images,
        summary=_summary(listing),
        data=overview,
        allowed=tuple(each for each in first_draft.audit.findings if each not in kept),
        unsettled=tuple(kept),
    )


@dataclass(frozen=True, slots=True)
class _Draft:
    """The table `data` of a new recipe, and what it makes of the images."""

    entries: Mapping[str, str]
    """As YAML, by key."""
    audit: Audit

    @classmethod
    def of(cls, images: Images, entries: Mapping[str, str]) -> Self:
        """Return the draft with the table `entries`."""
        listing = images.listing
        table = DataTable.model_validate(yaml.safe_load(_flow(entries)))
        policy = choose_split_policy(
            listing.given, val=table.val, test=table.test, test_stated="test" in entries
        )
        contents = {}
        if listing.label_kind is LabelKind.BOXES and len(listing.samples) <= _MAX_CONTENTS:
            contents = contents_of(images)
        return cls(entries, audit_names(listing, table, policy, contents))

    def settled(self, images: Images) -> Self:
        """Return the draft that allows what does no harm: empty classes, and rare ones.

        A class that is in no image is nothing to lose. Of a class with few boxes not every split
        can get one; what matters is that it is trained on.
        """
        entries = dict(self.entries)
        findings = self.audit.findings
        if any(finding.drop is Drop.EMPTY_CLASSES for finding in findings):
            entries["drop"] = f"[{Drop.EMPTY_CLASSES}]"
        trained = {box.label for one in self.audit.placed[Split.TRAIN] for box in one.boxes}
        lacking = [each for each in findings if each.accept is Accept.MISSING_CLASSES]
        shown = {box.label for one in images.listing.samples for box in one.boxes}
        if lacking and trained >= shown:
            entries["accept"] = f"[{Accept.MISSING_CLASSES}]"
        return self if entries == self.entries else self.of(images, entries)

    @property
    def has_one_class(self) -> bool:
        """Whether there is nothing to tell apart, which no entry of a recipe can change."""
        kinds = {finding.title for finding in self.audit.findings}
        return ONE_CLASS in kinds


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


def _entries(path: str, layout: str, exclude: tuple[str, ...], listing: Listing) -> dict[str, str]:
    """Return the entries of the recipe's table `data`, as YAML by key."""
    entries = {"path": json.dumps(path)}  # every JSON string is a valid YAML string
    if layout:
        entries["layout"] = layout
    if exclude:
        entries["exclude"] = json.dumps(exclude)
    return entries | _splits(listing)


def _splits(listing: Listing) -> dict[str, str]:
    if {Split.TEST, Split.VAL} <= listing.given:
        return {"seed": "0"}
    if Split.TEST in listing.given:
        return {"val": "0.15", "seed": "0"}
    if Split.VAL in listing.given:
        # Without test/, test on val/, and split off images of train/ for validation.
        return {"test": "val", "val": "0.15", "seed": "0"}
    return {"val": "0.15", "test": "0.20", "seed": "0"}


def _flow(entries: Mapping[str, str]) -> str:
    """Return a table on one line of YAML."""
    return f"{{{', '.join(f'{key}: {text}' for key, text in entries.items())}}}"


def _recipe(name: str, draft: _Draft, *, task: TaskPlugin, listing: Listing) -> str:
    calibrations = ", ".join(sorted(known_files("calibration")))
    targets = ", ".join(sorted(known_files("targets")))
    return f"""\
# A recipe: data, models and target devices. 'edgetl schema' lists every key.
name: {name}
task: {task.data.task}

# {_summary(listing)}; paths start at this file.
data: {_flow(draft.entries)}
{task.recipe.body}
# The images that determine the ranges of int8 files. Known: {calibrations}
calibration: {task.recipe.calibration(len(draft.audit.placed[Split.TRAIN]))}

# Devices with their limits. Known: {targets}
targets: [host]
"""
