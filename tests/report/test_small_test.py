"""A test split in which a single image decides on a limit is named as too small."""

from __future__ import annotations

import pytest

from edgetl.config.limits import Limits
from edgetl.report.small_test import small_test_lines

NO_ACCURACY = Limits(drop_pp=None, p95_ms=3.0, size_mib=4.0)


@pytest.mark.parametrize(
    ("num_images", "limits", "line"),
    [
        pytest.param(
            2,
            [Limits()],
            "the test split has 2 images, so a single one can change the accuracy by 50 pp: too "
            "small to show a limit (drop at most 1 pp); at least 100 are needed",
            id="default",
        ),
        pytest.param(99, [Limits()], "at least 100 are needed", id="99"),
        pytest.param(100, [Limits()], "", id="100"),
        pytest.param(19, [Limits(drop_pp=5)], "at least 20 are needed", id="wide drop"),
        pytest.param(20, [Limits(drop_pp=5)], "", id="20 for a wide drop"),
        pytest.param(50, [Limits(drop_pp=5), Limits()], "100 are needed", id="strictest target"),
        pytest.param(50, [Limits(drop_pp=None, top1=0.9)], "top-1 at least 0.9", id="top-1"),
        pytest.param(1, [Limits(drop_pp=0)], "has 1 image, so", id="no drop"),
        pytest.param(3, [NO_ACCURACY], "", id="no limit on accuracy"),
        pytest.param(0, [Limits()], "", id="no images"),
    ],
)
def test_line_says_what_is_too_small_for_which_limit(
    num_images: int, limits: list[Limits], line: str
) -> None:
    lines = list(small_test_lines(num_images, limits))
    assert len(lines) == (1 if line else 0)
    assert all(line in each for each in lines)
