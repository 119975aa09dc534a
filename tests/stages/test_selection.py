from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

import pytest

from edgetl.config.limits import Figures
from edgetl.config.target import Target
from edgetl.facts.package import Outcome, Verdict
from edgetl.runtime.paired import Rounds
from edgetl.stages._selection import Measured, Selection, choose


def board(*, device: str | None = "local", judge: str = "point", **limits: object) -> Target:
    return Target.model_validate(
        {
            "name": "board",
            "description": "a board",
            "device": device,
            "threads": 1,
            "candidates": {"onnx": ["fp32", "int8"]},
            "limits": limits,
            "judge": judge,
        }
    )


def top1(value: float) -> dict[str, float]:
    return {"top1": value}


def figures(name: str, **changed: Any) -> Measured:
    broken = changed.pop("broken", "")
    values: dict[str, Any] = {
        "title": "top-1",
        "accuracies": top1(0.95),
        "at_chance": None,
        "no_predictions": False,
        "drop_pp": 0.0,
        "size_bytes": 4 << 20,
        "p95_ms": 2.0,
        "memory_bytes": 80 << 20,
        "interfered": False,
        "end_to_end_p95_ms": 3.0,
        "classes": {"crack": {"recall": 0.97, "precision": 0.9}, "dent": {"recall": None}},
    }
    made = Figures(**(values | changed))
    rounds = None if made.p95_ms is None else Rounds([made.p95_ms] * 8, [False] * 8)
    return Measured(name, made, broken, rounds)


def told(selection: Selection) -> list[tuple[str, str]]:
    return [(judgement.verdict.value, judgement.reason) for judgement in selection.judgements]


def test_fastest_that_holds_every_limit_is_chosen() -> None:
    selection = choose(
        board(drop_pp=1.0),
        [figures("a"), figures("b", p95_ms=1.0), figures("c", p95_ms=0.5, drop_pp=14.23)],
    )
    assert selection.outcome is Outcome.HELD
    assert selection.chosen == 1
    assert selection.why == ""
    assert told(selection) == [
        ("holds", "2.00 times as long [2.00 2.00]"),
        ("chosen", "fastest within limits"),
        ("rejected", "drop 14.23 > 1 pp (top-1)"),
    ]


def test_of_equally_fast_ones_the_smaller_is_chosen_then_the_first() -> None:
    same = [figures("a"), figures("b", size_bytes=1), figures("c", size_bytes=1)]
    selection = choose(board(), same)
    assert selection.chosen == 1
    assert told(selection) == [
        ("holds", ""),
        ("chosen", "smallest of the fastest (no significant difference from a, c) within limits"),
        ("holds", ""),
    ]


def timed(
    name: str, rounds: list[float], disturbed: Collection[int] = (), **changed: Any
) -> Measured:
    made = figures(name, **changed)
    return dataclasses.replace(
        made, rounds=Rounds(rounds, [i in disturbed for i in range(len(rounds))])
    )


def test_a_slow_round_does_not_change_which_is_fastest() -> None:
    # The last two rounds were ten times as slow for both, and so the means are of no use.
    fast = timed("fast", [1.0] * 7 + [10.0, 10.0])
    slow = timed("slow", [1.2] * 7 + [12.0, 11.0], size_bytes=1)
    selection = choose(board(), [slow, fast])
    assert selection.chosen == 1
    assert told(selection)[0] == ("holds", "1.20 times as long [1.10 1.20]")


def test_time_of_a_disturbed_turn_does_not_rank() -> None:
    # Nine quiet rounds in which the first is faster, and three in which only it was disturbed.
    fast = timed("fast", [1.0] * 9 + [9.0] * 3, {9, 10, 11})
    slow = timed("slow", [1.2] * 12)
    assert told(choose(board(), [slow, fast]))[1] == ("chosen", "fastest within limits")


def test_ranking_by_disturbed_times_is_said() -> None:
    everything = set(range(8))
    fast = timed("fast", [1.0] * 8, everything, interfered=True)
    slow = timed("slow", [1.2] * 8, everything, interfered=True)
    assert told(choose(board(), [slow, fast])) == [
        ("holds", "1.20 times as long [1.20 1.20]"),
        ("chosen", "fastest by disturbed times within limits"),
    ]
    # One that has no competitor is not ranked.
    assert told(choose(board(), [fast])) == [("chosen", "fastest within limits")]


@pytest.mark.parametrize(
    ("limits", "changed", "reason"),
    [
        pytest.param({"top1": 0.96}, {}, "top-1 0.95 < 0.96", id="top1"),
        pytest.param({"drop_pp": 1.0}, {"drop_pp": 1.04}, "drop 1.04 > 1 pp (top-1)", id="drop"),
        pytest.param({"p95_ms": 1.5}, {}, "p95 2 > 1.5 ms", id="p95"),
        pytest.param({"end_to_end_p95_ms": 2.5}, {}, "end-to-end p95 3 > 2.5 ms", id="end to end"),
        pytest.param(
            {"class_recall": {"crack": 0.98}}, {}, "recall of crack 0.97 < 0.98", id="recall"
        ),
        pytest.param(
            {"class_precision": {"crack": 0.95}},
            {},
            "precision of crack 0.9 < 0.95",
            id="precision",
        ),
        pytest.param({"size_mib": 3.5}, {}, "size 4 > 3.5 MiB", id="size"),
        pytest.param({"memory_mib": 64}, {}, "memory 80 > 64 MiB", id="memory"),
    ],
)
def test_broken_limit_rejects_with_its_figures(
    limits: dict[str, Any], changed: dict[str, Any], reason: str
) -> None:
    selection = choose(board(**limits), [figures("a", **changed)])
    assert selection.outcome is Outcome.MISSED
    assert selection.chosen is None
    assert told(selection) == [("rejected", reason)]


def test_limit_of_a_class_names_the_class_and_the_nearest_candidate() -> None:
    worse = {"crack": {"recall": 0.9}}
    selection = choose(
        board(class_recall={"crack": 0.98}), [figures("a", classes=worse), figures("b")]
    )
    assert selection.why == (
        "no candidate meets class_recall.crack; nearest is b: recall of crack 0.97 < 0.98"
    )


def test_class_without_test_images_is_not_shown_to_meet_its_limit() -> None:
    selection = choose(board(class_recall={"dent": 0.5}), [figures("a")])
    assert selection.outcome is Outcome.UNVERIFIED
    assert selection.why == "recall of dent is not measured"


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("top1", 0.95),
        ("drop_pp", 0.0),
        ("p95_ms", 2.0),
        ("end_to_end_p95_ms", 3.0),
        ("class_recall", {"crack": 0.97}),
        ("class_precision", {"crack": 0.9}),
        ("size_mib", 4.0),
        ("memory_mib", 80.0),
    ],
)
def test_figure_equal_to_its_limit_holds(limit: str, value: object) -> None:
    limits: dict[str, Any] = {limit: value}
    assert choose(board(**limits), [figures("a")]).outcome is Outcome.HELD


GUESS = "top-1 0.250 is no better than always predicting 'nut' (0.250)"


def test_model_no_better_than_guessing_is_rejected_unless_told_otherwise() -> None:
    is_at_chance = figures("a", accuracies=top1(0.25), at_chance=GUESS)
    selection = choose(board(), [is_at_chance])
    assert selection.outcome is Outcome.MISSED
    assert selection.chosen is None
    assert told(selection) == [("rejected", GUESS)]
    assert selection.why == f"no candidate meets better_than_guessing; nearest is a: {GUESS}"
    assert choose(board(better_than_guessing=False), [is_at_chance]).outcome is Outcome.HELD


def test_model_that_answers_nothing_is_rejected_whatever_the_limits() -> None:
    nothing = "detects nothing on any of 72 images"
    no_predictions = figures("a", accuracies={"map": 0.0}, at_chance=nothing, no_predictions=True)
    limits = board(better_than_guessing=False, drop_pp=None)
    selection = choose(limits, [no_predictions])
    assert told(selection) == [("rejected", nothing)]
    assert selection.why == f"no candidate meets better_than_guessing; nearest is a: {nothing}"
    assert told(choose(limits, [no_predictions, figures("b")]))[1] == (
        "chosen",
        "fastest within limits",
    )


def test_guessing_is_told_before_the_drop_it_explains() -> None:
    guess = figures("a", accuracies=top1(0.25), at_chance=GUESS, drop_pp=70.0)
    assert told(choose(board(), [guess, figures("b")])) == [
        ("rejected", GUESS),
        ("chosen", "fastest within limits"),
    ]


def test_of_models_that_guess_the_better_one_is_nearest() -> None:
    guesses = [
        figures("a", accuracies=top1(0.25), at_chance=GUESS),
        figures("b", accuracies=top1(0.5), at_chance="almost"),
    ]
    assert choose(board(), guesses).why.endswith("nearest is b: almost")


def test_perfect_guess_of_a_test_split_of_one_class_is_rejected() -> None:
    always = "top-1 1.000 is no better than always predicting 'nut' (1.000)"
    guess = figures("a", accuracies=top1(1.0), at_chance=always)
    selection = choose(board(), [guess])
    assert selection.outcome is Outcome.MISSED
    assert told(selection) == [("rejected", always)]


def test_without_a_device_a_guess_is_missed() -> None:
    guess = figures("a", at_chance=GUESS, p95_ms=None, memory_bytes=None)
    assert choose(board(device=None), [guess]).outcome is Outcome.MISSED


@pytest.mark.parametrize(
    ("limit", "reason"),
    [("map", "mAP 0.55 < 0.6"), ("map50", "mAP50 0.8 < 0.9")],
)
def test_detector_has_limits_of_its_own(limit: str, reason: str) -> None:
    detector = figures("a", title="mAP", accuracies={"map": 0.55, "map50": 0.8}, drop_pp=3.0)
    limits: dict[str, Any] = {limit: {"map": 0.6, "map50": 0.9}[limit]}
    assert told(choose(board(**limits), [detector])) == [("rejected", reason)]
    assert told(choose(board(), [detector])) == [("rejected", "drop 3 > 1 pp (mAP)")]


def test_gain_of_accuracy_is_no_drop() -> None:
    assert choose(board(drop_pp=0.0), [figures("a", drop_pp=-0.5)]).outcome is Outcome.HELD


def test_missed_target_names_the_limit_and_who_comes_nearest() -> None:
    selection = choose(board(drop_pp=1.0), [figures("a", drop_pp=9.0), figures("b", drop_pp=2.3)])
    assert selection.why == "no candidate meets drop_pp; nearest is b: drop 2.3 > 1 pp (top-1)"


def test_each_limit_that_no_candidate_meets_is_named() -> None:
    selection = choose(
        board(drop_pp=1.0, p95_ms=1.0),
        [figures("a", drop_pp=9.0, p95_ms=1.5), figures("b", drop_pp=2.3)],
    )
    assert selection.why == (
        "no candidate meets drop_pp; nearest is b: drop 2.3 > 1 pp (top-1). "
        "no candidate meets p95_ms; nearest is a: p95 1.5 > 1 ms"
    )


def test_limit_whose_figure_is_unknown_for_one_candidate_is_not_named() -> None:
    selection = choose(
        board(drop_pp=1.0, memory_mib=64),
        [figures("a", drop_pp=9.0), figures("b", drop_pp=2.3, memory_bytes=None)],
    )
    assert selection.why == "no candidate meets drop_pp; nearest is b: drop 2.3 > 1 pp (top-1)"


def test_limits_that_only_fail_together_are_told_so() -> None:
    selection = choose(
        board(drop_pp=1.0, p95_ms=1.0), [figures("a"), figures("b", drop_pp=9, p95_ms=1)]
    )
    assert selection.outcome is Outcome.MISSED
    assert selection.why == "each limit is met by some candidate, but no candidate meets all"


def test_without_a_device_the_smallest_is_chosen_and_stays_unverified() -> None:
    untimed = {"p95_ms": None, "memory_bytes": None}
    selection = choose(
        board(device=None, drop_pp=1.0, p95_ms=50),
        [
            figures("a", **untimed),
            figures("b", size_bytes=1 << 20, **untimed),
            figures("c", size_bytes=1, drop_pp=5.0, **untimed),
        ],
    )
    assert selection.outcome is Outcome.UNVERIFIED
    assert selection.chosen == 1
    assert selection.why == "no device"
    assert told(selection) == [
        ("unverified", "no device"),
        ("unverified", "no device; smallest that breaks no limit known"),
        ("rejected", "drop 5 > 1 pp (top-1)"),
    ]


def test_without_a_device_a_broken_accuracy_limit_is_missed() -> None:
    selection = choose(
        board(device=None), [figures("a", drop_pp=5.0, p95_ms=None, memory_bytes=None)]
    )
    assert selection.outcome is Outcome.MISSED


def test_disturbed_time_below_the_limit_holds_because_disturbance_only_slows() -> None:
    selection = choose(board(p95_ms=3.0), [figures("a", interfered=True)])
    assert selection.outcome is Outcome.HELD


def test_disturbed_time_above_the_limit_is_unverified_and_not_rejected() -> None:
    selection = choose(
        board(p95_ms=1.0), [figures("a", interfered=True), figures("b", drop_pp=9.0)]
    )
    assert selection.outcome is Outcome.UNVERIFIED
    assert selection.chosen == 0
    assert selection.judgements[0].verdict is Verdict.UNVERIFIED
    assert selection.why == "p95 2 > 1 ms, but other programs disturbed the timing"


def test_candidate_without_a_time_on_a_real_device_is_unverified() -> None:
    selection = choose(board(p95_ms=3.0), [figures("a", p95_ms=None)])
    assert selection.outcome is Outcome.UNVERIFIED
    assert selection.why == "no time was measured on a real device"
    assert told(selection) == [
        (
            "unverified",
            "no time was measured on a real device; smallest that breaks no limit known",
        )
    ]


def test_of_undecided_candidates_a_timed_one_goes_before_smaller_untimed_ones() -> None:
    selection = choose(
        board(memory_mib=100),
        [
            figures("a", p95_ms=None, size_bytes=1),
            figures("b", p95_ms=3.0, memory_bytes=None),
            figures("c", p95_ms=2.0, memory_bytes=None),
        ],
    )
    assert selection.chosen == 2
    assert told(selection) == [
        ("unverified", "no time was measured on a real device"),
        ("unverified", "memory is not measured"),
        ("unverified", "memory is not measured; fastest that breaks no limit known"),
    ]


def test_candidate_shown_to_hold_goes_before_a_faster_doubtful_one() -> None:
    selection = choose(
        board(memory_mib=100), [figures("a", p95_ms=1.0, memory_bytes=None), figures("b")]
    )
    assert selection.chosen == 1
    assert told(selection)[0] == ("unverified", "memory is not measured")


def test_candidate_that_answers_otherwise_on_the_device_is_rejected_whatever_the_limits() -> None:
    why = "logits against the recorded outputs: worst 3, 0.01 allowed"
    selection = choose(
        board(), [figures("onnx fp32 cuda", p95_ms=0.5, broken=why), figures("onnx fp32")]
    )
    assert selection.chosen == 1
    assert told(selection)[0] == ("rejected", why)
    alone = choose(board(), [figures("onnx fp32 cuda", broken=why)])
    assert alone.why == f"no candidate meets golden samples; nearest is onnx fp32 cuda: {why}"


DOUBTFUL = "drop 0.8 [0.3, 1.4] is not shown to be at most 1 pp"
"""Of a limit of 1 point: the value meets it, the interval does not."""


def test_limit_that_is_met_but_not_shown_is_remarked() -> None:
    candidates = [
        figures("a", drop_pp=0.8, intervals={"drop_pp": (0.3, 1.4)}),
        figures("b", drop_pp=0.8, intervals={"drop_pp": (0.3, 1.4)}, p95_ms=1.0),
        figures("c", drop_pp=0.8, intervals={"drop_pp": (0.6, 1.0)}),
    ]
    selection = choose(board(drop_pp=1.0), candidates)
    assert selection.outcome is Outcome.HELD
    assert told(selection) == [
        ("holds", f"2.00 times as long [2.00 2.00]; {DOUBTFUL}"),
        ("chosen", f"fastest within limits; {DOUBTFUL}"),
        ("holds", "2.00 times as long [2.00 2.00]"),
    ]


def test_limit_has_to_be_shown_where_the_target_judges_so() -> None:
    doubtful = figures("a", drop_pp=0.8, intervals={"drop_pp": (0.3, 1.4)}, p95_ms=1.0)
    shown = figures("b", drop_pp=0.8, intervals={"drop_pp": (0.6, 1.0)})
    target = board(judge="shown", drop_pp=1.0)
    both = choose(target, [doubtful, shown])
    assert told(both) == [("unverified", DOUBTFUL), ("chosen", "fastest within limits")]
    alone = choose(target, [doubtful])
    assert (alone.outcome, alone.chosen, alone.why) == (Outcome.UNVERIFIED, 0, DOUBTFUL)


@pytest.mark.parametrize(
    ("limits", "interval", "text"),
    [
        ({"top1": 0.94}, (0.93, 0.97), "top-1 0.95 [0.93, 0.97] is not shown to be at least 0.94"),
        (
            {"class_recall": {"crack": 0.96}},
            (0.9, 0.99),
            "recall of crack 0.97 [0.9, 0.99] is not shown to be at least 0.96",
        ),
        ({"p95_ms": 2.1}, (1.9, 2.2), "p95 2 [1.9, 2.2] is not shown to be at most 2.1 ms"),
    ],
    ids=["top1", "recall", "p95"],
)
def test_worse_end_of_an_interval_depends_on_the_limit(
    limits: dict[str, Any], interval: tuple[float, float], text: str
) -> None:
    ((name, bound),) = limits.items()
    key = f"{name}.crack" if isinstance(bound, dict) else name
    selection = choose(board(**limits), [figures("a", intervals={key: interval})])
    assert told(selection) == [("chosen", f"fastest within limits; {text}")]


def test_operating_point_that_is_not_reached_rejects_a_candidate() -> None:
    sentence = "no threshold reaches the precision of 0.98 stated for 'crack': the best is 0.9"
    short = dataclasses.replace(figures("a", p95_ms=1.0), unreached=sentence, shortfall=0.08)
    both = choose(board(), [short, figures("b")])
    assert told(both) == [("rejected", sentence), ("chosen", "fastest within limits")]
    shorter = dataclasses.replace(short, name="c", unreached="far from it", shortfall=0.5)
    none = choose(board(), [shorter, short])
    assert (none.outcome, none.chosen) == (Outcome.MISSED, None)
    assert none.why == f"no candidate meets operating_point; nearest is a: {sentence}"
