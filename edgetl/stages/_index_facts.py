"""What the index stage reports about the data: facts for the manifest, notes and a summary line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from edgetl.data.audit import Audit
from edgetl.data.image_sets import Images
from edgetl.data.listing import Sample
from edgetl.data.listing_notes import few, notes_of
from edgetl.data.near_copies import near_copies
from edgetl.facts.dataset import DatasetFacts
from edgetl.stages import Progress
from edgetl.stages._image_reading import Seen
from edgetl.types import Facts, LabelKind, Role, Split

_UPRIGHT = 1
"""The EXIF orientation of an image that is not turned."""


def summary(facts: DatasetFacts) -> str:
    """Return for example `2,140 images, 6 classes (train 1,391, val 321, test 428)`."""
    sizes = facts.images
    if facts.role is Role.UNLABELLED:
        return _unlabelled_summary(facts)
    parts = ", ".join(f"{split} {size:,}" for split, size in sizes.items())
    boxes = ""
    total = sum(sum(counts.values()) for counts in (facts.boxes or {}).values())
    if facts.boxes is not None:
        boxes = f" {total:,} {'box' if total == 1 else 'boxes'},"
    count = len(facts.classes)
    classes = "class" if count == 1 else "classes"
    text = f"{sum(sizes.values()):,} images,{boxes} {count} {classes} ({parts})"
    for kind, names in facts.dropped.items():
        text += f"; {len(names):,} {kind} dropped"
    for kind, number in facts.repaired.items():
        text += f"; {number:,} repaired by {kind}"
    if facts.duplicates:
        text += f"; {facts.duplicates:,} duplicates kept together"
    return text


def _unlabelled_summary(facts: DatasetFacts) -> str:
    text = f"{facts.images[Split.TRAIN]:,} images without labels"
    for kind, names in facts.dropped.items():
        text += f"; {len(names):,} {kind} dropped"
    if facts.transductive:
        text += f"; transductive, {facts.shared_with_evaluation:,} are also measured on"
    return text


def facts_of(
    role: Role,
    task: str,
    audit: Audit,
    images: Images,
    progress: Progress,
) -> DatasetFacts:
    """Return the facts of a labelled dataset, and show notes that concern the user at once.

    Args:
        role: Of the dataset.
        task: Of the recipe.
        audit: The samples in use.
        images: The source.
        progress: Receives notes.
    """
    others = images.listing.others
    if others:
        what = "file that is not an image" if len(others) == 1 else "files that are not images"
        progress.note(f"{len(others):,} {what}: {few(others)}")
    for note in notes_of(images.listing):
        progress.note(note)
    dropped: dict[str, list[str]] = {}
    for dropped_item in audit.dropped:
        dropped.setdefault(dropped_item.kind.value, []).append(dropped_item.name)
    if images.listing.label_kind is LabelKind.CLASSES:
        of_labels: Facts = {"counts": _counts(audit, lambda sample: [sample.label])}
    else:
        of_labels = _box_facts(audit)
    return DatasetFacts(
        role=role,
        task=task,
        classes=audit.classes,
        images={split: len(samples) for split, samples in audit.placed.items()},
        dropped={kind: tuple(names) for kind, names in dropped.items()},
        duplicates=audit.num_repeated,
        other_files=len(others),
        unlisted=len(images.listing.unlisted),
        ignored={ignored.what: len(ignored.names) for ignored in images.listing.ignored},
        groups=len(set(images.listing.groups.values())),
        near_copies=len(_noted_copies(audit, images, progress)),
        **of_labels,
    )


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


def note_turned(audit: Audit, seen: Seen, progress: Progress) -> None:
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


def _counts(audit: Audit, shown: Callable[[Sample], list[str]]) -> dict[Split, dict[str, int]]:
    """Return how often each class is shown, by split."""
    by_split = {}
    for split, samples in audit.placed.items():
        counts = Counter(name for sample in samples for name in shown(sample))
        by_split[split] = {name: counts[name] for name in audit.classes}
    return by_split


def _box_facts(audit: Audit) -> Facts:
    """Return the fields of `DatasetFacts` about boxes; crowds do not count as boxes of a class."""
    boxes = [box for samples in audit.placed.values() for sample in samples for box in sample.boxes]
    return {
        "boxes": _counts(
            audit, lambda sample: [box.label for box in sample.boxes if not box.crowd]
        ),
        "backgrounds": {
            split: sum(not sample.boxes for sample in samples)
            for split, samples in audit.placed.items()
        },
        "crowds": sum(box.crowd for box in boxes),
        "difficult": sum(box.difficult for box in boxes),
        "repaired": {kind: len(where) for kind, where in audit.repaired.items()},
    }
