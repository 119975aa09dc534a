"""Boxes of a dataset that training at a given input size does not see, and what would fix it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from edgetl.errors import DataError
from edgetl.stages import Progress
from edgetl.types import Role, Split

if TYPE_CHECKING:  # planning must not wait for numpy
    from edgetl.data.box_batches import Unseen
    from edgetl.data.dataset import DatasetIndex
    from edgetl.runtime.preprocess import Preprocess


def unseen_boxes(
    index: DatasetIndex, preprocess: Preprocess, progress: Progress
) -> Mapping[Split, Unseen]:
    """Return how many boxes of each split training does not see; note what would fix it.

    Args:
        index: Of a labelled dataset for detection.
        preprocess: How its images are fitted.
        progress: Receives the notes.

    Raises:
        DataError: If nothing is left to train on.
    """
    from edgetl.data.box_batches import Unseen, count_unseen
    from edgetl.data.boxes_augment import MIN_SIDE

    unseen = {
        split: count_unseen(index.truths(split), index.image_sizes(split).tolist(), preprocess)
        for split in Split
    }
    at_input = f"at input {preprocess.width}"
    train = unseen[Split.TRAIN]
    if index.role is Role.DATA and train.too_small + train.cropped == train.total:
        remedies = ["raise `input.size`"] if train.too_small else []
        remedies += ["write `input: {fit: letterbox}`"] if train.cropped else []
        raise DataError(
            f"none of the {train.total:,} boxes to train on is seen {at_input}: "
            f"{train.too_small:,} are under {MIN_SIDE:g} px, {train.cropped:,} are cut off",
            remedy=" and ".join(remedies),
        )
    every = Unseen(
        total=sum(one.total for one in unseen.values()),
        too_small=sum(one.too_small for one in unseen.values()),
        cropped=sum(one.cropped for one in unseen.values()),
    )
    if every.too_small:
        verb = "is" if every.too_small == 1 else "are"
        progress.note(
            f"{every.too_small:,} of {every.total:,} boxes {verb} under {MIN_SIDE:g} px "
            f"{at_input}: raise `input.size`"
        )
    if every.cropped:
        verb = "is" if every.cropped == 1 else "are"
        progress.note(
            f"{every.cropped:,} of {every.total:,} boxes {verb} cut off by `fit: crop`: "
            "write `input: {fit: letterbox}`"
        )
    return unseen
