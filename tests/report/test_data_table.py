"""The table of the data is readable with two classes and with two hundred."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from edgetl.data.overview import summarise_sizes
from edgetl.facts.dataset import DataOverview, DatasetFacts
from edgetl.report.data_table import data_table
from edgetl.types import Role, Split

SPLITS = tuple(Split)


def by_split(counts: Mapping[str, Sequence[int]]) -> dict[Split, dict[str, int]]:
    return {
        split: {name: numbers[k] for name, numbers in counts.items()}
        for k, split in enumerate(SPLITS)
    }


def overview(
    counts: Mapping[str, Sequence[int]],
    *,
    sizes: Sequence[tuple[int, int]] = (),
    notes: tuple[str, ...] = (),
    **fields: Any,
) -> DataOverview:
    images = {split: sum(n[k] for n in counts.values()) for k, split in enumerate(SPLITS)}
    facts = {
        "role": Role.DATA, "task": "classification", "classes": tuple(counts), "images": images,
        "dropped": {}, "duplicates": 0, "other_files": 0, "counts": by_split(counts),
    }  # fmt: skip
    return DataOverview(
        facts=DatasetFacts.model_validate({**facts, **fields}),
        sizes=summarise_sizes(sizes),
        notes=notes,
    )


def test_two_classes_have_a_row_each() -> None:
    shown = overview(
        {"cat": (1200, 3, 4), "[red]dog": (5, 6, 7)},
        sizes=[(480, 640)] * 3 + [(64, 48)],
        notes=("ignored 2 masks: a_mask.png, b_mask.png",),
        dropped={"unreadable": ("a.jpg", "b.jpg", "c.jpg", "d.jpg")},
        duplicates=2,
    )
    assert data_table(shown).splitlines() == [
        "images of 2 classes  train  val  test  total",
        "cat                  1,200    3     4  1,207",
        "[red]dog                 5    6     7     18",
        "all images           1,205    9    11  1,225",
        "image sizes: 3 of 640 x 480, 1 of 48 x 64 (of 4 images)",
        "dropped: 4 unreadable (a.jpg, b.jpg, c.jpg, ...)",
        "duplicates: 2 images repeat others, in the same split",
        "ignored 2 masks: a_mask.png, b_mask.png",
    ]


def test_of_many_classes_the_first_are_shown_and_the_range_of_the_others() -> None:
    counts = {f"class {k:03}": (k + 1, 1, 2) for k in range(200)}
    lines = data_table(overview(counts)).splitlines()
    assert len(lines) == 23
    assert lines[0].split() == ["images", "of", "200", "classes", *SPLITS, "total"]
    assert lines[20].split() == ["class", "019", "20", "1", "2", "23"]
    assert " ".join(lines[21].split()) == "and 180 more 21 to 200 1 2 24 to 203"
    assert " ".join(lines[22].split()) == "all images 20,100 200 400 20,700"


@pytest.mark.parametrize(("count", "lines"), [(20, 22), (21, 23), (22, 23)])
def test_a_single_class_is_not_summed_up(count: int, lines: int) -> None:
    counts = {str(k): (1, 1, 1) for k in range(count)}
    assert len(data_table(overview(counts)).splitlines()) == lines


def test_boxes_are_counted_by_class_and_images_below_them() -> None:
    shown = overview(
        {"nut": (0, 0, 0)},
        task="detection",
        images={Split.TRAIN: 8, Split.VAL: 2, Split.TEST: 2},
        boxes=by_split({"nut": (20, 3, 4)}),
        backgrounds={Split.TRAIN: 1, Split.VAL: 0, Split.TEST: 0},
        repaired={"clip-boxes": 3},
        crowds=1,
    )
    assert data_table(shown).splitlines() == [
        "boxes of 1 class      train  val  test  total",
        "nut                      20    3     4     27",
        "all boxes                20    3     4     27",
        "images without boxes      1    0     0      1",
        "all images                8    2     2     12",
        "repaired: 3 by clip-boxes",
        "crowds: 1 box around a group, neither trained on nor counted",
    ]


def test_images_of_other_roles_have_one_number_each() -> None:
    evaluation = overview({"cat": (0, 0, 4), "dog": (0, 0, 5)}, role=Role.EVALUATION)
    assert data_table(evaluation).splitlines() == [
        "images of 2 classes to evaluate  test",
        "cat                                 4",
        "dog                                 5",
        "all images                          9",
    ]
    unlabelled = overview(
        {}, role=Role.UNLABELLED, images={Split.TRAIN: 30, Split.VAL: 0, Split.TEST: 0}
    )
    assert data_table(unlabelled) == "unlabelled images: 30"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        pytest.param("c" * 50, f"{'c' * 37}...", id="long"),
        pytest.param("a\nb", r"'a\nb'", id="line break"),
        pytest.param("\udcff", r"'\udcff'", id="no text"),
    ],
)
def test_every_class_name_fits_into_a_line(name: str, shown: str) -> None:
    line = data_table(overview({name: (1, 1, 1), "dog": (1, 1, 1)})).splitlines()[1]
    assert line.startswith(f"{shown} ")
    line.encode("utf-8")


@pytest.mark.parametrize(
    ("sizes", "line"),
    [
        pytest.param([(72, 96)] * 3, "96 x 72", id="one"),
        pytest.param([(k, 2 * k) for k in (9, 5, 7, 6, 5)],
                     "4 different, from 10 x 5 to 18 x 9, most often 10 x 5", id="many"),
    ],
)  # fmt: skip
def test_sizes_are_named_or_their_range(sizes: list[tuple[int, int]], line: str) -> None:
    shown = overview({"cat": (len(sizes) - 2, 1, 1)}, sizes=sizes)
    assert data_table(shown).splitlines()[-1] == f"image sizes: {line}"
