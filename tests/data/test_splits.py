from __future__ import annotations

from collections import Counter
from typing import Literal

import pytest

from edgetl.data.splits import SplitPolicy, choose_split_policy, divide
from edgetl.errors import DataError
from edgetl.types import Split

TRAIN, VAL, TEST = Split.TRAIN, Split.VAL, Split.TEST


def contents(count: int) -> list[tuple[str, int]]:
    return [(f"{k:064x}", 1) for k in range(count)]


def policy(
    existing: tuple[Split, ...], val: float, test: float | Literal["val"] | None
) -> SplitPolicy:
    """Return the policy for a recipe with `test`, or with its default of 0.2 for None."""
    return choose_split_policy(
        frozenset(existing),
        val=val,
        test=0.2 if test is None else test,
        test_stated=test is not None,
    )


@pytest.mark.parametrize(
    ("existing", "test", "split_off"),
    [
        pytest.param((), None, {TEST: 0.2, VAL: 0.15}, id="flat"),
        pytest.param((TRAIN, VAL, TEST), None, {}, id="all exist"),
        pytest.param((TRAIN, TEST), None, {VAL: 0.15}, id="no val"),
        pytest.param((TRAIN,), 0.3, {TEST: 0.3, VAL: 0.15}, id="train alone"),
        pytest.param((TRAIN, VAL), "val", {VAL: 0.15}, id="test is val"),
        pytest.param((TRAIN, VAL), 0.2, {TEST: 0.2}, id="stated test"),
    ],
)
def test_policy_follows_from_the_existing_splits(
    existing: tuple[Split, ...],
    test: float | Literal["val"] | None,
    split_off: dict[Split, float],
) -> None:
    expected = SplitPolicy(test_is_val=test == "val", split_off=split_off)
    assert policy(existing, 0.15, test) == expected


@pytest.mark.parametrize(
    ("existing", "val", "test", "what"),
    [
        pytest.param(
            (TRAIN, VAL),
            0.1,
            None,
            r"no test/\n  write `data: \{test: val\}` to .* or `data: \{test: 0\.2\}`",
            id="unclear test",
        ),
        pytest.param((TRAIN, VAL, TEST), 0.1, "val", "have their own test/", id="both"),
        pytest.param((), 0.1, "val", "have no val/", id="no val to measure on"),
        pytest.param((), 0.0, None, r"`data\.val` is 0", id="no validation"),
        pytest.param((), 0.1, 0.0, r"`data\.test` is 0", id="no test"),
    ],
)
def test_unclear_splits_are_refused(
    existing: tuple[Split, ...], val: float, test: float | Literal["val"] | None, what: str
) -> None:
    with pytest.raises(DataError, match=what):
        policy(existing, val, test)


def test_val_becomes_test_if_the_recipe_says_so() -> None:
    swapped = SplitPolicy(test_is_val=True, split_off={})
    assert swapped.place(VAL) is TEST
    assert swapped.place(TRAIN) is TRAIN
    assert swapped.place(None) is TRAIN


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        pytest.param(20, {TEST: 4, VAL: 3, TRAIN: 13}, id="as the fractions say"),
        # 10 * 0.15 = 1.5, half upwards 2
        pytest.param(10, {TEST: 2, VAL: 2, TRAIN: 6}, id="rounded half upwards"),
        pytest.param(3, {TEST: 1, VAL: 1, TRAIN: 1}, id="one for each"),
        pytest.param(2, {TEST: 1, TRAIN: 1}, id="too few for all"),
        pytest.param(1, {TRAIN: 1}, id="a single one"),
    ],
)
def test_division_rounds_as_documented(count: int, sizes: dict[Split, int]) -> None:
    placed = divide(contents(count), {TEST: 0.2, VAL: 0.15}, seed=0)
    assert Counter(placed.values()) == sizes


def test_division_depends_on_seed_and_content_only() -> None:
    images = contents(40)
    fractions = {TEST: 0.2, VAL: 0.15}
    first = divide(images, fractions, seed=0)
    assert divide(images[::-1], dict(reversed(fractions.items())), seed=0) == first
    assert divide(images, fractions, seed=1) != first


def test_added_image_moves_few_others() -> None:
    fractions = {TEST: 0.2, VAL: 0.15}
    before = divide(contents(100), fractions, seed=0)
    after = divide(contents(101), fractions, seed=0)
    assert sum(before[content] is not after[content] for content in before) <= 3


def test_images_that_occur_twice_stay_in_train() -> None:
    images = [(content, 1 + k % 2) for k, (content, _) in enumerate(contents(20))]
    placed = divide(images, {TEST: 0.2, VAL: 0.1}, seed=0)
    assert {placed[content] for content, count in images if count == 2} == {TRAIN}
    # 30 images: 6 for the test, 3 for validation
    assert Counter(placed.values()) == {TEST: 6, VAL: 3, TRAIN: 11}
