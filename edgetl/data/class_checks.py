"""Which classes a model gets, and which classes the images or boxes of a split lack."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from edgetl.config.recipe import Accept, Drop
from edgetl.data.findings import FIX_FOLDERS, Allowed, DroppedItem, Finding
from edgetl.data.listing import BY_FOLDERS, Listing, Sample
from edgetl.data.splits import SplitPolicy
from edgetl.types import LabelKind, Split

_MIN_CLASSES = 2
"""Minimum for classification; detection needs only one."""
ONE_CLASS = "class, but at least two are needed"
"""Title of the finding."""
_FIX_ONE_CLASS = (
    f"add images of another class, such as what it is confused with, in a folder of their own; or "
    f"{FIX_FOLDERS}. Nothing learns from images of one class alone yet; anomaly detection is "
    "planned"
)


def settle_classes(
    listing: Listing,
    placed: Mapping[Split, Sequence[Sample]],
    policy: SplitPolicy,
    allowed: Allowed,
    unknown: Collection[str],
) -> tuple[tuple[str, ...], list[DroppedItem], list[Finding]]:
    """Return the model's classes, the dropped classes, and findings about missing classes.

    Nothing is said of `unknown` classes.
    """
    of_boxes = listing.label_kind is LabelKind.BOXES
    present = {
        split: {name for sample in members for name in classes_of(sample)}
        for split, members in placed.items()
    }
    findings = _boxless(placed, present, policy) if of_boxes else []
    if of_boxes and not any(present.values()):
        return listing.classes, [], findings
    # If a split has no boxes at all, its missing classes need no report.
    compared = [split for split in policy.splits if present[split] or not of_boxes]
    empty: list[str] = []
    incomplete: list[str] = []
    short: set[Split] = set()
    for name in (name for name in listing.classes if name not in unknown):
        lacking = [split for split in compared if name not in present[split]]
        if not any(name in names for names in present.values()):
            empty.append(name)
        elif lacking:
            total = sum(name in classes_of(one) for members in placed.values() for one in members)
            incomplete.append(f"{name} ({_images(total)}): none in {', '.join(lacking)}")
            short.update(lacking)
    classes, dropped = listing.classes, []
    what = "boxes" if of_boxes else "images"
    # Images that are only measured on take their classes from another dataset.
    few = policy.only is not None and Accept.MISSING_CLASSES in allowed.accept
    if empty and (few or Drop.EMPTY_CLASSES in allowed.drop):
        dropped = [DroppedItem(name, Drop.EMPTY_CLASSES, f"no {what}") for name in empty]
        classes = tuple(name for name in classes if name not in empty)
    elif empty:
        findings.append(Finding(f"class without {what}", tuple(empty), Drop.EMPTY_CLASSES))
    title = "class that a split lacks"
    if incomplete and not of_boxes:
        fix = _fix_lacking(listing, placed, policy, short)
        findings.append(Finding(title, tuple(incomplete), None, fix=fix))
    elif incomplete and Accept.MISSING_CLASSES not in allowed.accept:
        findings.append(Finding(title, tuple(incomplete), None, None, Accept.MISSING_CLASSES))
    if len(classes) < _MIN_CLASSES and not of_boxes and not few:
        findings.append(Finding(ONE_CLASS, classes, None, fix=_FIX_ONE_CLASS))
    return classes, dropped, findings


def classes_of(sample: Sample) -> frozenset[str]:
    """Return the classes in an image, without crowds."""
    if sample.label and not sample.boxes:  # one class for the whole image
        return frozenset({sample.label})
    return frozenset(box.label for box in sample.boxes if not box.crowd)


def _fix_lacking(
    listing: Listing,
    placed: Mapping[Split, Sequence[Sample]],
    policy: SplitPolicy,
    lacking: Collection[Split],
) -> str:
    """Return what to do about `lacking` splits, in which classes of images are missing."""
    if policy.split_off.keys() & {*lacking}:
        return (
            f"add images of such a class: it needs {len(policy.splits)}, one for every split, and "
            "copies of one image stay together; or exclude it with `data: {exclude: [...]}`"
        )
    empty = [split for split in policy.splits if split in lacking and not placed[split]]
    if empty and listing.named_in == BY_FOLDERS:
        return (
            f"{' and '.join(empty)} has no images at all: delete its folders, so that edgetl takes "
            "images for it from train, or move some there"
        )
    return FIX_FOLDERS


def _boxless(
    placed: Mapping[Split, Sequence[Sample]],
    present: Mapping[Split, Collection[str]],
    policy: SplitPolicy,
) -> list[Finding]:
    """Return the splits without boxes, which are useless for training and evaluation.

    Only a validation split without images is allowed: then nothing is selected on it.
    """
    lacking = [
        split
        for split in policy.splits
        if not present[split] and (placed[split] or split is not Split.VAL)
    ]
    if not lacking:
        return []
    names = ", ".join(lacking)
    fix = f"label the images of {names}, or move some with boxes there"
    if not any(present.values()):
        fix = "label the objects in the images: none of them has a box"
    elif policy.split_off.keys() & {*lacking}:
        fix = "label more images: too few have boxes for every split to get some"
    examples = tuple(f"{split} ({_images(len(placed[split]))})" for split in lacking)
    return [Finding("split without any box", examples, None, fix=fix)]


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"
