"""Split images into train, val and test if the data have no splits of their own."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from edgetl.errors import DataError
from edgetl.types import Split


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitPolicy:
    """How to derive train, val and test from the splits of a layout."""

    test_is_val: bool
    """Whether the images in `val/` are the test split."""
    split_off: Mapping[Split, float]
    """Splits to take from the training images, with their fractions."""
    only: Split | None = None
    """The split of all images, regardless of the layout; None to use several splits."""

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that must contain every class."""
        return tuple(Split) if self.only is None else (self.only,)

    def place(self, given: Split | None) -> Split:
        """Return the split of an image before the training images are divided."""
        if self.only is not None:
            return self.only
        if given is Split.VAL and self.test_is_val:
            return Split.TEST
        return given or Split.TRAIN


def choose_split_policy(
    given: frozenset[Split], *, val: float, test: float | Literal["val"], test_stated: bool
) -> SplitPolicy:
    """Decide how to split data with the existing splits `given`.

    Args:
        given: Splits of the layout; empty for a flat folder.
        val: Fraction for validation, if the layout has no val split.
        test: Fraction for testing, if the layout has no test split; `val` tests on `val/`.
        test_stated: Whether the user set `test`; the default does not settle an ambiguity.

    Raises:
        DataError: If a split is missing and it is unclear how to get it.
    """
    test_is_val = test == "val"
    if test_is_val and (Split.VAL not in given or Split.TEST in given):
        has = "their own test/" if Split.TEST in given else "no val/"
        raise DataError(
            f"`data.test: val` tests on val/, but the data have {has}",
            remedy="remove `test: val` from the `data` table of the recipe",
        )
    if not test_stated and Split.VAL in given and Split.TEST not in given:
        raise DataError(
            "the data have train/ and val/ but no test/",
            remedy="write `data: {test: val}` to test on val/ and take validation images from "
            "train/, or `data: {test: 0.2}` to take test images from train/",
        )
    split_off: dict[Split, float] = {}
    if Split.TEST not in given and test != "val":
        split_off[Split.TEST] = test
    if Split.VAL not in given or test_is_val:
        split_off[Split.VAL] = val
    for split, fraction in split_off.items():
        if fraction == 0.0:
            raise DataError(
                f"`data.{split}` is 0, but the data have no {split}/",
                remedy=f"write a fraction, for example `data: {{{split}: 0.15}}`",
            )
    return SplitPolicy(test_is_val=test_is_val, split_off=split_off)


def divide(
    groups: Sequence[tuple[str, int]],
    fractions: Mapping[Split, float],
    seed: int,
    *,
    mixed: Collection[str] = (),
) -> dict[str, Split]:
    """Divide the training images of one class into splits, by content.

    Images are ordered by the SHA-256 of seed and content, so the result does not depend on names,
    the machine or the order of files, and an added image moves few others. Of `n` images a split
    gets ``floor(n * fraction + 1/2)``, at least one; train keeps the rest. Duplicated images stay
    in train as long as others are left: counted twice, they would bias an evaluation.

    A group of different images, such as those of one object, goes to a split as a whole. One that
    would overfill a split by more than the split lacks is passed over, unless the split would stay
    empty.

    Args:
        groups: Content digests of one class, each with the number of images that share it, or that
            are in a group with it.
        fractions: Fraction of each split; see `SplitPolicy.split_off`.
        seed: Different seeds give different splits.
        mixed: Content digests that stand for a group of different images.

    Returns:
        Content digest to split.
    """
    total = sum(count for _, count in groups)

    def order(group: tuple[str, int]) -> tuple[bool, bytes]:
        content, count = group
        return count > 1 and content not in mixed, _mix(seed, content)

    queue = sorted(groups, key=order)
    placed: dict[str, Split] = {}
    for split in (Split.TEST, Split.VAL):
        if split not in fractions:
            continue
        target = max(1, int(total * fractions[split] + 0.5))
        taken = 0
        while taken < target and len(queue) > 1:
            position = _next(queue, target - taken, mixed)
            if position is None and taken:
                break
            content, count = queue.pop(_smallest(queue) if position is None else position)
            placed[content] = split
            taken += count
    placed.update((content, Split.TRAIN) for content, _ in queue)
    return placed


def _next(queue: Sequence[tuple[str, int]], lacking: int, mixed: Collection[str]) -> int | None:
    """Return the position of the first group that fits; None if all are too large."""
    fitting = (
        position
        for position, (content, count) in enumerate(queue)
        if content not in mixed or count <= 2 * lacking
    )
    return next(fitting, None)


def _smallest(queue: Sequence[tuple[str, int]]) -> int:
    return min(range(len(queue)), key=lambda position: queue[position][1])


def _mix(seed: int, content: str) -> bytes:
    # Before images are read, names replace the content digests, and names may contain any bytes.
    return hashlib.sha256(f"{seed}/{content}".encode("utf-8", "surrogateescape")).digest()
