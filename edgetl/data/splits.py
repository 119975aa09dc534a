"""Which image goes to train, val and test where the data do not say so themselves."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from edgetl.errors import DataError
from edgetl.types import Split


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitPolicy:
    """How the splits of a layout become train, val and test."""

    test_is_val: bool
    """Images in `val/` are the test split."""
    split_off: Mapping[Split, float]
    """Splits to be divided off from the training images, with their fractions of these."""
    only: Split | None = None
    """The split of every image, whatever its layout says; None keeps the splits apart."""

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that must show every class."""
        return tuple(Split) if self.only is None else (self.only,)

    def place(self, given: Split | None) -> Split:
        """Return the split of an image before anything is divided off."""
        if self.only is not None:
            return self.only
        if given is Split.VAL and self.test_is_val:
            return Split.TEST
        return given or Split.TRAIN


def choose_split_policy(
    given: frozenset[Split], *, val: float, test: float | Literal["val"], test_stated: bool
) -> SplitPolicy:
    """Decide how to split data that have the splits `given`.

    Args:
        given: Splits that the layout has; none for a flat folder.
        val: Fraction for validation, where the layout has none.
        test: Fraction for the test, where the layout has none; `val` takes `val/` for it.
        test_stated: Whether the user wrote `test`; a default does not decide between the two.

    Raises:
        DataError: If a split is missing and it is not clear where it should come from.
    """
    test_is_val = test == "val"
    if test_is_val and (Split.VAL not in given or Split.TEST in given):
        has = "a test/ of their own" if Split.TEST in given else "no val/"
        raise DataError(
            f"`data.test: val` measures on val/, but the data have {has}",
            remedy="remove `test: val` from the `data` table of the recipe",
        )
    if not test_stated and Split.VAL in given and Split.TEST not in given:
        raise DataError(
            "the data have train/ and val/ but no test/",
            remedy="write `data: {test: val}` to measure on val/ and split validation off train/, "
            "or `data: {test: 0.2}` to split a test off train/",
        )
    split_off: dict[Split, float] = {}
    if Split.TEST not in given and test != "val":
        split_off[Split.TEST] = test
    if Split.VAL not in given or test_is_val:
        split_off[Split.VAL] = val
    for split, fraction in split_off.items():
        if fraction == 0.0:
            raise DataError(
                f"`data.{split}` is 0, but the data have no {split}/ of their own",
                remedy=f"write a fraction, for example `data: {{{split}: 0.15}}`",
            )
    return SplitPolicy(test_is_val=test_is_val, split_off=split_off)


def divide(
    groups: Sequence[tuple[str, int]], fractions: Mapping[Split, float], seed: int
) -> dict[str, Split]:
    """Divide the training images of one class among splits, by content.

    The order is that of SHA-256 of seed and content, so it does not depend on names, on the machine
    or on the order of files, and an image more moves few others. Of `n` images a split gets
    ``floor(n * fraction + 1/2)``, at least one; train keeps the rest. Images that occur several
    times stay in train as long as others are left: counted twice, they would bias a measurement.

    Args:
        groups: Content digest and how many images share it, of one class.
        fractions: What each split gets; those of `SplitPolicy.split_off`.
        seed: Another seed gives another division.

    Returns:
        Content digest to split.
    """
    total = sum(count for _, count in groups)
    queue = deque(sorted(groups, key=lambda group: (group[1] > 1, _mix(seed, group[0]))))
    placed: dict[str, Split] = {}
    for split in (Split.TEST, Split.VAL):
        if split not in fractions:
            continue
        wanted = max(1, int(total * fractions[split] + 0.5))
        taken = 0
        while taken < wanted and len(queue) > 1:
            content, count = queue.popleft()
            placed[content] = split
            taken += count
    placed.update((content, Split.TRAIN) for content, _ in queue)
    return placed


def _mix(seed: int, content: str) -> bytes:
    # Before images are read their names stand for the contents, and those may be of any bytes.
    return hashlib.sha256(f"{seed}/{content}".encode("utf-8", "surrogateescape")).digest()
