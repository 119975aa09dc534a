"""From the samples of an audit to the items and boxes of an index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from edgetl.data.audit import Audit, rarest
from edgetl.data.sources import Sample
from edgetl.types import LabelKind, Split

if TYPE_CHECKING:  # planning must not wait for numpy
    from edgetl.data.dataset import Item, Truth


def items_of(
    kind: LabelKind, audit: Audit, contents: Mapping[str, str], *, classes: Sequence[str]
) -> dict[Split, list[Item]]:
    """Return names, labels and digests by split.

    Args:
        kind: Of the labels.
        audit: The images in use.
        contents: Image name to digest.
        classes: Their positions are the labels.
    """
    from edgetl.data.dataset import Item

    labels = {one.name: one.label for samples in audit.placed.values() for one in samples}
    if kind is LabelKind.BOXES:
        used = [sample for samples in audit.placed.values() for sample in samples]
        labels = rarest(used, audit.classes)
    numbers = {name: number for number, name in enumerate((*classes, ""))}
    return {
        split: [
            Item(sample.name, numbers[labels[sample.name]], contents[sample.name])
            for sample in samples
        ]
        for split, samples in audit.placed.items()
    }


def truths_of(audit: Audit, classes: Sequence[str]) -> dict[Split, list[Truth]]:
    """Return the boxes of each image by split, with numbers for classes."""
    import numpy as np

    from edgetl.data.dataset import Truth

    numbers = {name: number for number, name in enumerate(classes)}

    def truth(sample: Sample) -> Truth:
        # A class that has only crowds is dropped as empty, and its crowds with it.
        boxes = [box for box in sample.boxes if box.label in numbers]
        return Truth(
            np.array([box.corners for box in boxes], np.float32).reshape(-1, 4),
            np.array([numbers[box.label] for box in boxes], np.int64),
            np.array([box.crowd for box in boxes], np.bool_),
        )

    return {split: [truth(one) for one in samples] for split, samples in audit.placed.items()}
