"""Make the index of a dataset: check its images and labels, and write what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from posixpath import splitext
from typing import TYPE_CHECKING

from pydantic import Field

from edgetl.config.recipe import Accept, DataTable, Drop, GroupColumn, Repair, SyntheticData
from edgetl.config.table import Table
from edgetl.data.audit import Audit, examine
from edgetl.data.box_lint import lint_boxes
from edgetl.data.findings import Allowed
from edgetl.data.image_levels import find_unused_bits
from edgetl.data.image_sets import Images, open_images
from edgetl.data.listing_notes import few
from edgetl.data.near_copies import near_copies
from edgetl.data.overview import all_notes_of, facts_of
from edgetl.data.splits import SplitPolicy
from edgetl.data.telltales import telltales
from edgetl.errors import DataError
from edgetl.facts.dataset import DatasetFacts
from edgetl.hashing import digest_file
from edgetl.stages import Progress, Workspace
from edgetl.stages._image_reading import Seen, look, reading_pool, undecodable
from edgetl.stages._index_items import items_of, truths_of
from edgetl.stages._index_roles import find_shared, index_unlabelled, shared_classes
from edgetl.tasks import TASKS
from edgetl.types import LabelKind, Role, Split

if TYPE_CHECKING:  # planning must not wait for numpy
    from edgetl.data.dataset import DatasetIndex

_FORMATS = {"JPG": "JPEG", "JPE": "JPEG", "JFIF": "JPEG", "TIF": "TIFF"}
"""Formats by those of their suffixes that differ."""
_UPRIGHT = 1
"""The EXIF orientation of an image that is not turned."""


class Settings(Table):
    """What the index of a dataset depends on in addition to those of other roles."""

    role: Role
    task: str
    content: str
    """Digest of names, classes and contents of all images and labels."""
    test_is_val: bool
    split_off: dict[Split, float]
    seed: int
    """Of the random split; 0 if nothing is split off."""
    group: str | GroupColumn | None = None
    """Which images must be in one split."""
    drop: tuple[Drop, ...]
    repair: tuple[Repair, ...]
    accept: tuple[Accept, ...]
    transductive: bool
    """Whether unlabelled images may be those of the evaluation."""
    path: Path | None = Field(exclude=True)
    """Where the images are; `content` stands for it in the key. None for synthetic images."""
    synthetic: SyntheticData | None = Field(exclude=True)
    exclude: tuple[str, ...] = Field(exclude=True)
    layout: str = Field(exclude=True)
    """Name of the data layout; empty for synthetic images. Its version is in the key."""

    def policy(self) -> SplitPolicy:
        """Return how splits are made."""
        only = Split.TEST if self.role is Role.EVALUATION else None
        return SplitPolicy(test_is_val=self.test_is_val, split_off=self.split_off, only=only)


def make_index(settings: Settings, others: Sequence[DatasetIndex], work: Workspace) -> DatasetFacts:
    """Check the images and labels of a dataset and write its index.

    Args:
        settings: Of the index.
        others: The indexes of the roles with which it must not share images, that of `data` first.
            Without them, which is only for an inspection, nothing is compared.
        work: The folders to write to.

    Raises:
        DataError: If the data cannot be used as they are, or change in the meantime.
    """
    from edgetl.data.dataset import write_index

    called = str(settings.path or "synthetic images")
    task = TASKS.load(settings.task)
    kind = task.data.label_kind
    with (
        open_images(
            settings.path,
            settings.synthetic,
            settings.exclude,
            task.data,
            role=settings.role,
            layout=settings.layout,
            group=settings.group,
        ) as images,
        reading_pool() as pool,
    ):
        if settings.role is Role.UNLABELLED:
            return index_unlabelled(settings, images, others, pool=pool, work=work)
        seen = look(images, pool, turns=Repair.TURN_BOXES in settings.repair)
        seen.dropped = find_shared(settings, seen.contents, others)
        audit = examine_images(settings, images, seen, settings.policy())

        def newly_failed() -> dict[str, str]:
            names = [sample.name for split in Split for sample in audit.placed[split]]
            return undecodable(names, images, seen, pool, work.progress)

        # Before data are refused too: the report must name images that cannot be decoded.
        failed = newly_failed()
        if failed:
            seen.unreadable.update(failed)
            audit = examine_images(settings, images, seen, settings.policy())
        labels = {each.name: each.label for split in audit.placed.values() for each in split}
        of_classes = labels if kind is LabelKind.CLASSES else {}
        dark = find_unused_bits(images.levels, of_classes, settings.accept)
        audit = replace(audit, findings=(*audit.findings, *dark))
        audit.refuse_if_wrong(called, table=settings.role)
        failed_again = newly_failed() if failed else {}
        if failed_again or images.digest(digest_file) != settings.content:
            raise DataError(f"'{called}' changed while it was read", remedy="run again")
    if Repair.TURN_BOXES not in settings.repair:
        _note_turned(audit, seen, work.progress)
    _note_odd(audit, images, work.progress)
    if kind is LabelKind.CLASSES and settings.path is not None:
        _note_telltales(labels, images, seen, work.progress)
    classes = audit.classes
    if settings.role is Role.EVALUATION and others:
        classes = shared_classes(settings, audit.classes, others[0].classes)
    write_index(
        work.out,
        task=settings.task,
        role=settings.role,
        classes=classes,
        items=items_of(kind, audit, seen.contents, classes=classes),
        dropped=audit.dropped,
        truths=truths_of(audit, classes) if kind is LabelKind.BOXES else None,
        image_sizes={
            split: [seen.sizes[sample.name] for sample in samples]
            for split, samples in audit.placed.items()
        },
    )
    for note in all_notes_of(images.listing):
        work.progress.note(note)
    facts = facts_of(settings.role, settings.task, audit, images.listing)
    copies = _noted_copies(audit, images, work.progress)
    return facts.model_copy(update={"near_copies": len(copies)})


def examine_images(
    data: Settings | DataTable, images: Images, seen: Seen, policy: SplitPolicy
) -> Audit:
    """Return the audit of a dataset whose images were looked at.

    Args:
        data: What may be dropped, repaired and accepted.
        images: The source.
        seen: What is known about its images.
        policy: How splits are made.
    """
    listing, lint = seen.used(images.listing), None
    allowed = Allowed(frozenset(data.drop), frozenset(data.repair), frozenset(data.accept))
    if listing.label_kind is LabelKind.BOXES:
        samples = tuple(
            replace(sample, boxes=seen.boxes.get(sample.name, ())) for sample in listing.samples
        )
        lint = lint_boxes(replace(listing, samples=samples), seen.sizes, allowed, seen.orientations)
        listing = lint.listing
    audit = examine(
        listing,
        seen.contents,
        seen.unreadable,
        policy=policy,
        seed=data.seed,
        allowed=allowed,
        lint=lint,
        remedies=seen.remedies,
    )
    return replace(audit, dropped=(*seen.dropped, *audit.dropped))


def _note_turned(audit: Audit, seen: Seen, progress: Progress) -> None:
    """Show the images with boxes that may have been drawn before they were turned upright."""
    turned = [
        sample.name
        for samples in audit.placed.values()
        for sample in samples
        if sample.boxes and seen.orientations.get(sample.name, _UPRIGHT) != _UPRIGHT
    ]
    if turned:
        progress.note(
            f"{len(turned):,} images are turned upright by their EXIF orientation, and their "
            f"labels do not state a size: {few(sorted(turned))}; if the boxes were drawn on the "
            "pixels as stored, write `data: {repair: [turn-boxes]}`"
        )


def _note_odd(audit: Audit, images: Images, progress: Progress) -> None:
    """Show the images of one colour, which failed downloads leave behind, and of several frames."""
    used = {sample.name for samples in audit.placed.values() for sample in samples}
    plain = sorted(used.intersection(images.plain))
    if plain:
        what = "image is" if len(plain) == 1 else "images are"
        progress.note(
            f"{len(plain):,} {what} of a single colour: {few(plain)}; exclude what shows nothing "
            "with `data: {exclude: [...]}`"
        )
    stacks = sorted(used.intersection(images.stacks))
    if stacks:
        what = "file has" if len(stacks) == 1 else "files have"
        progress.note(
            f"{len(stacks):,} {what} several frames or pages, of which only the first is read: "
            f"{few(stacks)}; save the others as images of their own to use them"
        )


def _note_telltales(
    labels: Mapping[str, str], images: Images, seen: Seen, progress: Progress
) -> None:
    """Show the classes that something besides their content tells apart."""
    properties = {
        "image size": {name: "{1} x {0}".format(*seen.sizes[name]) for name in labels},
        "file format": {name: _format_of(name) for name in labels},
        "colour": {name: "grey images" if name in images.grey else "colours" for name in labels},
    }
    for note in telltales(labels, properties):
        progress.note(note)


def _format_of(name: str) -> str:
    suffix = splitext(name)[1].upper().removeprefix(".")
    return _FORMATS.get(suffix, suffix)


def _noted_copies(audit: Audit, images: Images, progress: Progress) -> list[tuple[str, str]]:
    """Return the images that look almost like one of another split, and show them."""
    splits = {sample.name: split for split, samples in audit.placed.items() for sample in samples}
    copies = near_copies(images.sketches, splits, images.listing.groups)
    if copies:
        what = "image looks" if len(copies) == 1 else "images look"
        progress.note(
            f"{len(copies):,} {what} almost like one of another split, so that measured accuracy "
            f"may be too high: {few([f'{name} like {other}' for name, other in copies])}; keep "
            "copies and frames of one video in one split with `data: {group: ...}`, or exclude them"
        )
    return copies
