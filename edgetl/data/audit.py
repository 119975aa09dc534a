"""What is wrong with labelled data, in one report, and which split each usable image is in."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from unicodedata import normalize

from edgetl.config.recipe import Accept, Drop
from edgetl.data.box_lint import BoxLint
from edgetl.data.findings import FIX_FOLDERS, Allowed, DroppedItem, Finding, refuse
from edgetl.data.sources import Listing, Sample
from edgetl.data.splits import SplitPolicy, divide
from edgetl.types import Split, Task

_MIN_CLASSES = 2
"""To tell images apart; for detection one is enough."""
_PROTECTED = (Split.TRAIN, Split.VAL, Split.TEST)
"""Of two copies the one in the later split is kept: a test image is dearer than one to train on."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What came out of the examination of labelled data."""

    classes: tuple[str, ...]
    placed: Mapping[Split, tuple[Sample, ...]]
    """Images to use, by split, each sorted by name."""
    dropped: tuple[DroppedItem, ...]
    num_repeated: int
    """Images that are used although another one in the same split is equal."""
    findings: tuple[Finding, ...]
    """Problems that forbid using the data."""
    repaired: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Boxes that were changed, by kind of repair."""

    def refuse_if_wrong(self, called: str, *, table: str = "data") -> None:
        """Raise all findings as one error.

        Args:
            called: What messages call the data.
            table: The table of the recipe that names them.

        Raises:
            DataError: If there is a finding.
        """
        refuse(self.findings, called, table=table)


def examine(
    listing: Listing,
    contents: Mapping[str, str],
    unreadable: Mapping[str, str],
    *,
    policy: SplitPolicy,
    seed: int,
    allowed: Allowed,
    lint: BoxLint | None = None,
) -> Audit:
    """Place every usable image and find everything that is wrong.

    Args:
        listing: Images and classes by name.
        contents: Image name to content digest, for all but those in `unreadable`.
        unreadable: Image name to the reason.
        policy: How splits are made.
        seed: Of the division.
        allowed: What may be left out or accepted instead of being a finding.
        lint: What is already known of the boxes of `listing`.
    """
    dropped = [
        DroppedItem(name, Drop.UNREADABLE, reason) for name, reason in sorted(unreadable.items())
    ]
    dropped.extend(lint.dropped if lint else ())
    findings = [*_check_names(listing), *(lint.findings if lint else ())]
    if unreadable and Drop.UNREADABLE not in allowed.drop:
        findings.append(
            Finding(
                "unreadable image",
                tuple(unreadable[name] for name in sorted(unreadable)),
                Drop.UNREADABLE,
            )
        )
    samples = [sample for sample in listing.samples if sample.name not in unreadable]
    copies = _copies(samples, contents)
    omitted, groups = _compare(copies, policy)
    if Drop.DUPLICATES in allowed.drop:
        dropped.extend(omitted)
        gone = {dropped_item.name for dropped_item in omitted}
        samples = [sample for sample in samples if sample.name not in gone]
    else:
        findings.extend(
            Finding(f"group of equal images {title}", tuple(examples), Drop.DUPLICATES)
            for title, examples in groups.items()
            if examples
        )
    if listing.task is Task.DETECTION:
        # A drawn scene is labelled with its first part before anybody knows its boxes.
        labels = rarest(samples, listing.classes)
        samples = [replace(one, label=one.label or labels[one.name]) for one in samples]
    placed = _place(samples, contents, policy, seed)
    classes, empty, lacking = _settle_classes(listing, placed, policy, allowed)
    dropped.extend(empty)
    if any(sample.label for sample in samples) or not (lint and lint.findings):
        # Where every box was lost to what is wrong with it there is no more to say.
        findings.extend(lacking)
    used = [contents[sample.name] for split in placed.values() for sample in split]
    return Audit(
        classes,
        placed,
        tuple(dropped),
        len(used) - len(set(used)),
        tuple(findings),
        lint.repaired if lint else {},
    )


def _check_names(listing: Listing) -> list[Finding]:
    """Return what is wrong by names alone."""
    findings = []
    fix_names = FIX_FOLDERS
    if listing.task is Task.DETECTION:
        fix_names = f"mend the names of the classes in {listing.named_in}"
    alike: dict[str, list[str]] = defaultdict(list)
    spellings: dict[str, list[str]] = defaultdict(list)
    for name in listing.classes:
        alike[normalize("NFC", name)].append(name)
    for name in alike:
        spellings[name.casefold()].append(name)
    for title, groups in (
        ("class names that look the same, with accents stored in two ways", alike),
        ("class names that differ only in case", spellings),
    ):
        clashes = tuple(" and ".join(names) for names in groups.values() if len(names) > 1)
        if clashes:
            findings.append(Finding(title, clashes, None, fix=fix_names))
    # A line break would make two labels of one, and bytes that are no text cannot be written.
    odd = tuple(repr(name) for name in listing.classes if not name.isprintable())
    if odd:
        title = "class name with characters that cannot be printed"
        findings.append(Finding(title, odd, None, fix=fix_names))
    if listing.unlabelled:
        title = "image outside of any class folder"
        findings.append(Finding(title, listing.unlabelled, None, fix=FIX_FOLDERS))
    return findings


def _copies(samples: Sequence[Sample], contents: Mapping[str, str]) -> list[list[Sample]]:
    """Return groups of two and more images with equal content."""
    groups: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[contents[sample.name]].append(sample)
    return [group for group in groups.values() if len(group) > 1]


def _compare(
    copies: Sequence[Sequence[Sample]], policy: SplitPolicy
) -> tuple[list[DroppedItem], dict[str, list[str]]]:
    """Return what leaving out duplicates would omit, and the groups that forbid keeping them.

    One copy stays, the one in the most protected split, also where only the places of boxes differ.
    Of copies with different labels none stays: nobody knows which label is right.
    """
    omitted: list[DroppedItem] = []
    across: list[str] = []
    conflicts: list[str] = []
    moved: list[str] = []
    for group in copies:
        names = " = ".join(sample.name for sample in group)
        if len({_labels(sample) for sample in group}) > 1:
            conflicts.append(names)
            reason = f"equal images have different labels: {names}"
            omitted.extend(DroppedItem(sample.name, Drop.DUPLICATES, reason) for sample in group)
            continue
        if len({policy.place(sample.split) for sample in group}) > 1:
            across.append(names)
        elif len({_says(sample) for sample in group}) > 1:
            moved.append(names)
        kept = max(group, key=lambda sample: _PROTECTED.index(policy.place(sample.split)))
        omitted.extend(
            DroppedItem(sample.name, Drop.DUPLICATES, f"equal to {kept.name}")
            for sample in group
            if sample is not kept
        )
    return omitted, {
        "in several splits": across,
        "with different labels": conflicts,
        "with different boxes": moved,
    }


def _place(
    samples: Sequence[Sample], contents: Mapping[str, str], policy: SplitPolicy, seed: int
) -> dict[Split, tuple[Sample, ...]]:
    placed: dict[Split, list[Sample]] = {split: [] for split in Split}
    undivided: dict[str, dict[str, list[Sample]]] = defaultdict(lambda: defaultdict(list))
    for sample in samples:
        split = policy.place(sample.split)
        if split is Split.TRAIN and policy.split_off:
            undivided[sample.label][contents[sample.name]].append(sample)
        else:
            placed[split].append(sample)
    for groups in undivided.values():
        sizes = [(content, len(group)) for content, group in groups.items()]
        for content, split in divide(sizes, policy.split_off, seed).items():
            placed[split].extend(groups[content])
    return {
        split: tuple(sorted(found, key=lambda sample: sample.name))
        for split, found in placed.items()
    }


def rarest(samples: Sequence[Sample], classes: Sequence[str]) -> dict[str, str]:
    """Return by image the class on it that has the fewest boxes of all; empty without boxes.

    Of classes with as many boxes it is the first.
    """
    counts = Counter(box.label for sample in samples for box in sample.boxes if not box.crowd)
    order = {name: (counts[name], position) for position, name in enumerate(classes)}
    return {
        sample.name: min(_shown(sample), key=order.__getitem__, default="") for sample in samples
    }


def _shown(sample: Sample) -> frozenset[str]:
    """Return the classes that an image shows; crowds are not counted."""
    if sample.label and not sample.boxes:  # the task is classification
        return frozenset({sample.label})
    return frozenset(box.label for box in sample.boxes if not box.crowd)


def _labels(sample: Sample) -> tuple[str, ...]:
    """Return the label, or the labels of all boxes."""
    return (sample.label, *sorted(box.label for box in sample.boxes))


def _says(sample: Sample) -> tuple[object, ...]:
    """Return what equal images must agree on."""
    boxes = sorted((box.label, box.corners, box.crowd) for box in sample.boxes)
    return (sample.label, *boxes)


def _settle_classes(
    listing: Listing,
    placed: Mapping[Split, Sequence[Sample]],
    policy: SplitPolicy,
    allowed: Allowed,
) -> tuple[tuple[str, ...], list[DroppedItem], list[Finding]]:
    """Return the classes of the model, those that are left out, and what splits lack."""
    of_boxes = listing.task is Task.DETECTION
    present = {
        split: {name for sample in found for name in _shown(sample)}
        for split, found in placed.items()
    }
    findings = _boxless(placed, present, policy) if of_boxes else []
    if of_boxes and not any(present.values()):
        return listing.classes, [], findings
    # Where a split has nothing at all it is no news that it lacks each class.
    compared = [split for split in policy.splits if present[split] or not of_boxes]
    empty: list[str] = []
    incomplete: list[str] = []
    for name in listing.classes:
        lacking = [split.value for split in compared if name not in present[split]]
        if not any(name in shown for shown in present.values()):
            empty.append(name)
        elif lacking:
            total = sum(name in _shown(sample) for found in placed.values() for sample in found)
            incomplete.append(f"{name} ({_images(total)}): none in {', '.join(lacking)}")
    classes, dropped = listing.classes, []
    what = "boxes" if of_boxes else "images"
    # Of images that are only measured on, the classes come from elsewhere.
    few = policy.only is not None and Accept.MISSING_CLASSES in allowed.accept
    if empty and (few or Drop.EMPTY_CLASSES in allowed.drop):
        dropped = [DroppedItem(name, Drop.EMPTY_CLASSES, f"no {what}") for name in empty]
        classes = tuple(name for name in classes if name not in empty)
    elif empty:
        findings.append(Finding(f"class without {what}", tuple(empty), Drop.EMPTY_CLASSES))
    title = "class that a split lacks"
    if incomplete and not of_boxes:
        findings.append(Finding(title, tuple(incomplete), None, fix=FIX_FOLDERS))
    elif incomplete and Accept.MISSING_CLASSES not in allowed.accept:
        findings.append(Finding(title, tuple(incomplete), None, None, Accept.MISSING_CLASSES))
    if len(classes) < _MIN_CLASSES and not of_boxes and not few:
        title = "class, but at least two are needed"
        findings.append(Finding(title, classes, None, fix=FIX_FOLDERS))
    return classes, dropped, findings


def _boxless(
    placed: Mapping[Split, Sequence[Sample]],
    present: Mapping[Split, Collection[str]],
    policy: SplitPolicy,
) -> list[Finding]:
    """Return the splits that show nothing; nobody can train, choose or measure on them.

    Only a split for validation without images can be done without: nothing is chosen then.
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
        fix = "label what the images show: none of them has a box"
    elif policy.split_off.keys() & {*lacking}:
        fix = "label more images: too few have boxes to give every split some"
    found = tuple(f"{split} ({_images(len(placed[split]))})" for split in lacking)
    return [Finding("split without any box", found, None, fix=fix)]


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"
