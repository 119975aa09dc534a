"""Amounts follow from the sizes of operations."""

from __future__ import annotations

from typing import Any

import pytest

from edgetl.estimator.cost import USUAL_NS, amounts, size
from edgetl.estimator.graph import Kind


def test_amounts_are_sums_over_operations(operation: Any) -> None:
    totals = amounts(
        [
            operation(Kind.POINTWISE, macs=100, read=10, written=20, channels=(8, 16)),
            operation(Kind.LINEAR, macs=50, read=5, written=10, weights=50),
            operation(Kind.REDUCE, read=40, written=4),
            operation(Kind.ACTIVATION, read=6, written=6),
            operation(Kind.ACTIVATION, read=7, written=7),
        ],
        lane=8,
    )

    assert {term: amount for term, amount in totals.items() if amount} == {
        "pointwise multiplications": 100,
        "pointwise values": 30,
        "linear weights": 50,
        "reduce values": 40,
        "activation values": 13,
        "weighted calls": 2,
        "other calls": 3,
        "inference": 1,
    }


@pytest.mark.parametrize(
    ("channels", "lane", "factor"),
    [((24, 40), 1, 1.0), ((24, 40), 8, 1.0), ((24, 40), 16, 32 / 24 * 48 / 40), ((3, 16), 16, 1.0)],
    ids=["no groups", "whole groups", "padded", "image"],
)
def test_channels_are_padded_to_whole_groups_except_for_images(
    operation: Any, channels: tuple[int, int], lane: int, factor: float
) -> None:
    totals = amounts([operation(Kind.DENSE, macs=1000, channels=channels)], lane)
    assert totals["dense multiplications"] == pytest.approx(1000 * factor)


def test_every_kind_that_takes_time_has_a_term() -> None:
    kinds = set(Kind) - {Kind.WEIGHTED, Kind.FREE}
    for kind in kinds:
        assert any(term.startswith(f"{kind.value} ") for term in USUAL_NS), kind


def test_size_is_the_largest_of_work_and_values(operation: Any) -> None:
    assert size(operation(Kind.DENSE, macs=9, read=5, written=3)) == 9
    assert size(operation(Kind.MOVE, read=5, written=7)) == 7
