"""The summary line of an index, from its facts."""

from __future__ import annotations

from edgetl.facts.dataset import DatasetFacts
from edgetl.types import Role, Split


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
