"""What a plan says of its duration."""

from __future__ import annotations

import pytest

from edgetl.api.plan import PlannedStep, PlanResult


def _last_line(*seconds: float | None) -> str:
    steps = tuple(
        PlannedStep(f"step {i}", "stage", None, None, "", expected)
        for i, expected in enumerate(seconds)
    )
    plan = PlanResult("parts", steps, (), (), (), ())
    return list(plan.lines())[-1]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (50.0, "50 s"),
        (89.4, "89 s"),
        (90.0, "2 min"),
        (720.0, "12 min"),
        (5399.0, "90 min"),
        (5400.0, "1.5 h"),
    ],
)
def test_duration_is_in_the_unit_that_fits(seconds: float, words: str) -> None:
    assert _last_line(seconds) == f"about {words} to run, going by earlier steps in this store"


def test_durations_of_steps_add_up_and_unknown_ones_are_named() -> None:
    assert _last_line(20.0, 12.0, None, None, None, None, None) == (
        "about 32 s to run, going by earlier steps in this store; "
        "not known of step 2, step 3, step 4 and 2 more"
    )


def test_unknown_duration_is_said() -> None:
    line = "how long that takes is not known: no such step has run in this store"
    assert _last_line(None) == line


def test_nothing_is_said_where_nothing_runs() -> None:
    assert _last_line() == "0 to run, 0 to reuse; no problems found"
