"""Check labelled data, report all problems at once, and assign every usable image to a split."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from unicodedata import normalize

from edgetl.config.recipe import Drop
from edgetl.data.box_lint import BoxLint
from edgetl.data.class_checks import classes_of, settle_classes
from edgetl.data.duplicates import compare_copies, duplicate_findings, equal_images
from edgetl.data.findings import (
    FIX_FOLDERS,
    Allowed,
    DroppedItem,
    Finding,
    find_unreadable,
    refuse,
    share_of,
)
from edgetl.data.groups import straddling
from edgetl.data.listing import BY_FOLDERS, LabelProblem, Listing, Sample
from edgetl.data.splits import SplitPolicy, divide
from edgetl.types import LabelKind, Split

_MAX_NAMED = 4
_BETWEEN_WORDS = re.compile(r"(?<=[^\W\d_])[\s_-]+(?=[^\W\d_])|\s+")


@dataclass(frozen=True, slots=True)
class Audit:
    """The result of checking labelled data."""

    classes: tuple[str, ...]
    placed: Mapping[Split, tuple[Sample, ...]]
    """Images to use, by split, each sorted by name."""
    dropped: tuple[DroppedItem, ...]
    num_repeated: int
    """Number of images that are used despite an identical image in the same split."""
    findings: tuple[Finding, ...]
    """Problems that prevent the use of the data."""
    repaired: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Boxes that were changed, by kind of repair."""

    def refuse_if_wrong(self, path: str, *, table: str = "data") -> None:
        """Raise all findings as one error.

        Args:
            path: Name of the data in messages.
            table: The table of the recipe that names them.

        Raises:
            DataError: If there is a finding.
        """
        refuse(self.findings, path, table=table)


def examine(  # noqa: PLR0913 - one keyword for each source of findings
    listing: Listing,
    contents: Mapping[str, str],
    unreadable: Mapping[str, str],
    *,
    policy: SplitPolicy,
    seed: int,
    allowed: Allowed,
    lint: BoxLint | None = None,
    remedies: Mapping[str, str] | None = None,
) -> Audit:
    """Assign every usable image to a split and collect all problems.

    Args:
        listing: Images and classes.
        contents: Image name to content digest, for all but those in `unreadable`.
        unreadable: Image name to the reason.
        policy: How to create the splits.
        seed: Seed of the split.
        allowed: What may be dropped or accepted instead of being reported as a finding.
        lint: The checked boxes of `listing`.
        remedies: How to make unreadable images readable, by name.
    """
    dropped = [
        DroppedItem(name, Drop.UNREADABLE, reason) for name, reason in sorted(unreadable.items())
    ]
    dropped.extend(lint.dropped if lint else ())
    if Drop.UNLABELLED in allowed.drop and listing.named_in != BY_FOLDERS:
        what = f"no class in {listing.named_in}"
        dropped.extend(DroppedItem(name, Drop.UNLABELLED, what) for name in listing.unlabelled)
        listing = replace(listing, unlabelled=())
    findings = [*_check_names(listing), *(lint.findings if lint else ())]
    # The problems of boxes went through `lint`.
    findings.extend(_label_findings(listing, allowed))
    dropped.extend(
        DroppedItem(problem.example, problem.drop, problem.title)
        for problem in listing.problems
        if problem.drop in allowed.drop
    )
    if unreadable and Drop.UNREADABLE not in allowed.drop:
        findings.append(find_unreadable(unreadable, remedies or {}, len(listing.samples)))
    samples = [sample for sample in listing.samples if sample.name not in unreadable]
    copies = equal_images(samples, contents)
    omitted, groups = compare_copies(copies, policy)
    if Drop.DUPLICATES in allowed.drop:
        dropped.extend(omitted)
        gone = {dropped_item.name for dropped_item in omitted}
        samples = [sample for sample in samples if sample.name not in gone]
    else:
        findings.extend(duplicate_findings(groups, omitted, copies, samples))
    if listing.label_kind is LabelKind.BOXES:
        # A synthetic scene has the label of its first part before its boxes are known.
        labels = rarest(samples, listing.classes)
        samples = [replace(one, label=one.label or labels[one.name]) for one in samples]
    placed = _place(listing, samples, contents, policy, seed)
    findings.extend(_straddling(listing, placed))
    # Without the images that cannot be read, missing classes are only a consequence.
    unknown = {sample.label for sample in listing.samples if sample.name in unreadable}
    unknown = set() if Drop.UNREADABLE in allowed.drop else unknown
    classes, empty, lacking = settle_classes(listing, placed, policy, allowed, unknown)
    dropped.extend(empty)
    if any(sample.label for sample in samples) or not (lint and lint.findings):
        # If problems removed every box, missing classes are only a consequence.
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
    """Return the problems of class names."""
    findings = []
    fix_names = FIX_FOLDERS
    if listing.named_in != BY_FOLDERS:
        fix_names = f"fix the class names in {listing.named_in}"
    alike: dict[str, list[str]] = defaultdict(list)
    spellings: dict[str, list[str]] = defaultdict(list)
    separated: dict[str, list[str]] = defaultdict(list)
    for name in listing.classes:
        alike[normalize("NFC", name)].append(name)
    for name in alike:
        spellings[name.casefold()].append(name)
    for name in filter(str.isprintable, spellings):
        separated[_BETWEEN_WORDS.sub(" ", name).strip()].append(spellings[name][0])
    for title, groups in (
        ("class names that look the same, with accents stored in two ways", alike),
        ("class names that differ only in case", spellings),
        ("class names that differ only in spaces or separators", separated),
    ):
        clashes = tuple(" and ".join(_shown(names)) for names in groups.values() if len(names) > 1)
        if clashes:
            findings.append(Finding(title, clashes, None, fix=fix_names))
    # A line break would split a label in two, and bytes that are not text cannot be written.
    odd = tuple(repr(name) for name in listing.classes if not name.isprintable())
    if odd:
        title = "class name with characters that cannot be printed"
        findings.append(Finding(title, odd, None, fix=fix_names))
    if listing.unlabelled and listing.named_in != BY_FOLDERS:
        title = f"image without a class in {listing.named_in}"
        pattern = _pattern(listing)
        advice = f"add its class, or exclude it with `data: {{exclude: [{pattern}]}}`"
        findings.append(Finding(title, listing.unlabelled, Drop.UNLABELLED, advice=advice))
    elif listing.unlabelled:
        title = "image outside of any class folder"
        findings.append(Finding(title, listing.unlabelled, None, fix=FIX_FOLDERS))
    return findings


def _shown(names: Sequence[str]) -> list[str]:
    """Return names, quoted if spaces around one would not be seen."""
    return [repr(name) if name != name.strip() else name for name in names]


def _pattern(listing: Listing) -> str:
    """Return a pattern that excludes images without labels, if they have a folder of their own."""
    folders = {name.rpartition("/")[0] for name in listing.unlabelled}
    used = {sample.name.rpartition("/")[0] for sample in listing.samples}
    if "" in folders or folders & used or len(folders) > 1:
        return "..."
    return f"'{min(folders)}/*'"


def _label_findings(listing: Listing, allowed: Allowed) -> list[Finding]:
    """Return the problems of label files that name the class of each image."""
    groups: dict[tuple[str, Drop | None, str], list[LabelProblem]] = defaultdict(list)
    for problem in listing.problems:
        if problem.drop not in allowed.drop:
            groups[problem.title, problem.drop, problem.fix].append(problem)
    total = len(listing.samples)
    return [
        Finding(
            title,
            tuple(problem.example for problem in problems),
            drop,
            fix=fix,
            share=share_of(len({each.image for each in problems if each.image}), total),
        )
        for (title, drop, fix), problems in groups.items()
    ]


def _place(
    listing: Listing,
    samples: Sequence[Sample],
    contents: Mapping[str, str],
    policy: SplitPolicy,
    seed: int,
) -> dict[Split, tuple[Sample, ...]]:
    """Return the images by split, after dividing the training images."""
    placed: dict[Split, list[Sample]] = {split: [] for split in Split}
    undivided: list[Sample] = []
    for sample in samples:
        split = policy.place(sample.split)
        if split is Split.TRAIN and policy.split_off:
            undivided.append(sample)
        else:
            placed[split].append(sample)
    counts = Counter(sample.label for sample in undivided)
    by_label: dict[str, dict[str, list[Sample]]] = defaultdict(dict)
    mixed: set[str] = set()
    for members in _together(undivided, contents, listing.groups):
        # Of several classes in a group, the rarest one needs it most in every split.
        label = min((sample.label for sample in members), key=lambda name: (counts[name], name))
        digests = {contents[sample.name] for sample in members}
        by_label[label][min(digests)] = members
        if len(digests) > 1:
            mixed.add(min(digests))
    for groups in by_label.values():
        sizes = [(content, len(group)) for content, group in groups.items()]
        for content, split in divide(sizes, policy.split_off, seed, mixed=mixed).items():
            placed[split].extend(groups[content])
    return {
        split: tuple(sorted(members, key=lambda sample: sample.name))
        for split, members in placed.items()
    }


def _together(
    samples: Sequence[Sample], contents: Mapping[str, str], groups: Mapping[str, str]
) -> list[list[Sample]]:
    """Return the images that must be in one split: equal ones, and those of a group."""
    # Each image is linked to the first one with its content and to the first one of its group.
    first: dict[tuple[str, str], str] = {}
    parent: dict[str, str] = {}

    def find(name: str) -> str:
        while parent[name] != name:
            parent[name] = name = parent[parent[name]]
        return name

    for sample in samples:
        parent[sample.name] = sample.name
        for kind, key in (("content", contents[sample.name]), ("group", groups.get(sample.name))):
            if key is not None:
                other = first.setdefault((kind, key), sample.name)
                parent[find(sample.name)] = find(other)
    members: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        members[find(sample.name)].append(sample)
    return [*members.values()]


def rarest(samples: Sequence[Sample], classes: Sequence[str]) -> dict[str, str]:
    """Return, for each image, its class with the fewest boxes in all images; empty without boxes.

    Among classes with equally many boxes, the first one.
    """
    counts = Counter(box.label for sample in samples for box in sample.boxes if not box.crowd)
    order = {name: (counts[name], position) for position, name in enumerate(classes)}
    return {
        sample.name: min(classes_of(sample), key=order.__getitem__, default="")
        for sample in samples
    }


def _straddling(listing: Listing, placed: Mapping[Split, Sequence[Sample]]) -> list[Finding]:
    """Return the groups that the recipe states and the splits of the layout tear apart."""
    if not listing.states_groups:
        return []
    splits = {sample.name: split for split, samples in placed.items() for sample in samples}
    examples = tuple(
        f"{group}: {', '.join(f'{splits[name]} {name}' for name in names[:_MAX_NAMED])}"
        for group, names in straddling(listing.groups, splits).items()
    )
    fix = (
        "move the images of a group into one split, or put all images into one folder per class "
        "so that edgetl splits them"
    )
    return [Finding("group in several splits", examples, None, fix=fix)] if examples else []
