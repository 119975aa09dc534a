"""Equal images: which groups of them are a problem, and which copies would be dropped."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from posixpath import dirname

from edgetl.config.recipe import Drop
from edgetl.data.findings import DroppedItem, Finding, share_of
from edgetl.data.listing import Sample
from edgetl.data.splits import SplitPolicy
from edgetl.types import Split

_OTHER_LABELS = "with different labels"
_MOST_OF_CLASS = 0.9
_PROTECTED = (Split.TRAIN, Split.VAL, Split.TEST)
"""Of several copies, the one in the latest split is kept: test images are the most valuable."""


def equal_images(samples: Sequence[Sample], contents: Mapping[str, str]) -> list[list[Sample]]:
    """Return groups of two or more images with equal content."""
    groups: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[contents[sample.name]].append(sample)
    return [group for group in groups.values() if len(group) > 1]


def compare_copies(
    copies: Sequence[Sequence[Sample]], policy: SplitPolicy
) -> tuple[list[DroppedItem], dict[str, list[str]]]:
    """Return the images that dropping duplicates would drop, and the groups that are problems.

    One copy is kept, the one in the most protected split, even if only the boxes differ. Copies
    with different labels are all dropped: it is unknown which label is right.
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
        elif len({_annotation(sample) for sample in group}) > 1:
            moved.append(names)
        kept = max(group, key=lambda sample: _PROTECTED.index(policy.place(sample.split)))
        omitted.extend(
            DroppedItem(sample.name, Drop.DUPLICATES, f"equal to {kept.name}")
            for sample in group
            if sample is not kept
        )
    return omitted, {
        "in several splits": across,
        _OTHER_LABELS: conflicts,
        "with different boxes": moved,
    }


def duplicate_findings(
    groups: Mapping[str, Sequence[str]],
    omitted: Sequence[DroppedItem],
    copies: Sequence[Sequence[Sample]],
    samples: Sequence[Sample],
) -> list[Finding]:
    """Return a finding for each kind of equal images that is a problem.

    Args:
        groups: Examples by kind, as `compare_copies` returns them.
        omitted: What dropping duplicates would drop.
        copies: Groups of equal images.
        samples: All images.
    """
    kinds = [kind for kind, examples in groups.items() if examples]
    gone = {item.name for item in omitted}
    kept = {sample.label for sample in samples if sample.name not in gone}
    share = share_of(len(omitted), len(samples))
    lost = tuple(sorted({sample.label for sample in samples if sample.label} - kept))
    return [
        Finding(
            f"group of equal images {kind}",
            tuple(groups[kind]),
            Drop.DUPLICATES,
            advice=_advice_on_copied_class(copies, samples) if kind == _OTHER_LABELS else "",
            share=share / len(kinds),
            lost=lost,
        )
        for kind in kinds
    ]


def _advice_on_copied_class(copies: Sequence[Sequence[Sample]], samples: Sequence[Sample]) -> str:
    """Return the advice to exclude a class whose images are those of another; empty if none is.

    Of two such classes it is the one with the longer name: `cat - Copy` beside `cat`.
    """
    pairs = Counter(frozenset(sample.label for sample in group) for group in copies)
    sizes = Counter(sample.label for sample in samples)
    for labels, count in pairs.most_common():
        copied = [label for label in labels if label and count >= _MOST_OF_CLASS * sizes[label]]
        if len(labels) == 2 and copied:  # noqa: PLR2004
            label = max(copied, key=lambda name: (len(name), name))
            (other,) = labels - {label}
            folders = {dirname(sample.name) for sample in samples if sample.label == label}
            patterns = ", ".join(f"'{folder}/*'" for folder in sorted(folders))
            return (
                f"'{label}' has the images of '{other}': if it is a copy, exclude it with "
                f"`data: {{exclude: [{patterns}]}}`"
            )
    return ""


def _labels(sample: Sample) -> tuple[str, ...]:
    """Return the label, or the labels of all boxes."""
    return (sample.label, *sorted(box.label for box in sample.boxes))


def _annotation(sample: Sample) -> tuple[object, ...]:
    """Return the labels and boxes on which identical images must agree."""
    boxes = sorted((box.label, box.corners, box.crowd) for box in sample.boxes)
    return (sample.label, *boxes)
