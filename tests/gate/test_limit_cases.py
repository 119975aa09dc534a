"""The figures of a bundle against the limits of its target, case by case."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgetl.config.limits import Judge as JudgedBy
from edgetl.config.target import Target
from edgetl.facts.scores import Difference
from edgetl.gate.bundle import open_bundle
from edgetl.gate.case import MANIFEST, Case, Status
from edgetl.gate.limits import Accuracy, limit_cases
from edgetl.gate.measure import Measurements

Board = Callable[..., Target]
Evidence = Callable[..., Measurements]
Judge = Callable[..., dict[str, Case]]
_BUSY = ["other programs kept 1.0 cores busy"]
_RUNS = {
    "asked": 5,
    "taken": 10,
    "undisturbed": 2,
    "p50_ms": [4.0] * 10,
    "disturbances": [[], _BUSY],
}
_DISTURBED = (
    "the timing was disturbed, 2 of 10 runs undisturbed (other programs kept 1.0 cores busy)"
)


@pytest.fixture
def judge(backend: Any) -> Judge:
    """Return what makes the cases of limits, by name, for measurements or another accuracy."""
    bundle = open_bundle(backend.bundle(), "board")

    def cases(
        measurements: Measurements, target: Target, accuracy: Accuracy | None = None
    ) -> dict[str, Case]:
        known = accuracy or Accuracy.of_manifest(bundle)
        return {case.name: case for case in limit_cases(bundle, known, measurements, target)}

    return cases


@pytest.mark.parametrize(
    ("changes", "status", "reason", "warning"),
    [
        ({}, "passed", "5 <= 8 ms", ""),
        (
            {"interfered": True, "runs": _RUNS},
            "passed",
            "5 <= 8 ms",
            _DISTURBED,
        ),
        (
            {"interfered": True, "runs": _RUNS, "p95_ms": 9.0},
            "unverified",
            "9 > 8 ms, but the timing was disturbed: run again when the device is idle",
            _DISTURBED,
        ),
        (
            {"stable": False, "p95_ms": 9.0},
            "failed",
            "9 > 8 ms",
            "the warm-up never settled",
        ),
        (
            {"runs": {**_RUNS, "undisturbed": 3}},
            "passed",
            "5 <= 8 ms",
            "3 of 10 runs undisturbed (other programs kept 1.0 cores busy)",
        ),
        (
            {"model_ms": {"p50": None, "p95": None}, "count": 9},
            "failed",
            "too few times were taken for a p95; at most 8 ms allowed",
            "",
        ),
    ],
    ids=["quiet", "disturbed", "disturbed and slow", "unsettled", "three runs", "too few"],
)
def test_latency_is_judged_by_its_p95(
    board: Board,
    evidence: Evidence,
    judge: Judge,
    *,
    changes: dict[str, Any],
    status: str,
    reason: str,
    warning: str,
) -> None:
    case = judge(evidence(**changes), board(p95_ms=8.0))["latency"]
    assert (case.status.value, case.reason, case.warning) == (status, reason, warning)


def test_unknown_memory_is_not_within_its_limit(
    board: Board, evidence: Evidence, judge: Judge
) -> None:
    case = judge(evidence(peak_memory_bytes=None), board(memory_mib=64))["memory"]
    assert case.status is Status.FAILED
    assert case.reason == "the device does not report its peak memory; at most 64 MiB allowed"
    assert judge(evidence(), board(memory_mib=64))["memory"].status is Status.PASSED
    assert judge(evidence(), board(memory_mib=63))["memory"].reason == "64 > 63 MiB"


def test_figure_without_limit_is_told_and_skipped(
    board: Board, evidence: Evidence, judge: Judge
) -> None:
    cases = judge(evidence(), board(drop_pp=None, size_mib=None))
    assert (cases["accuracy drop"].status, cases["accuracy drop"].reason) == (
        Status.SKIPPED,
        "0 pp; targets/board.yaml sets no limit",
    )
    assert re.fullmatch(r"0\.0\d+ MiB; targets/board\.yaml sets no limit", cases["size"].reason)
    assert cases["latency"].reason == "targets/board.yaml sets no limit"
    assert cases["memory"].status is Status.SKIPPED


def test_limit_that_the_interval_does_not_meet_is_remarked_or_missed(
    tmp_path: Path, board: Board, evidence: Evidence, judge: Judge
) -> None:
    """The manifest has top-1 0.9 [0.8, 1]; a drop of 0 is [-1, 1.5]."""
    manifest = Accuracy.of_manifest(open_bundle(tmp_path / "bundle", "board"))
    known = dataclasses.replace(manifest, drop=Difference(pp=0.0, low_pp=-1.0, high_pp=1.5))
    limits = {"top1": 0.85, "drop_pp": 1.0, "p95_ms": 5.05}
    told = {
        "accuracy": "top-1 0.9 [0.8, 1] is not shown to be at least 0.85",
        "accuracy drop": "drop 0 [-1, 1.5] is not shown to be at most 1 pp",
        "latency": "p95 5 [4.9, 5.1] is not shown to be at most 5.05 ms",
    }

    point = judge(evidence(), board(**limits), known)
    shown = judge(evidence(), board(**limits).model_copy(update={"judge": JudgedBy.SHOWN}), known)

    assert {name: point[name].warning for name in told} == told
    assert {point[name].status for name in told} == {Status.PASSED}
    assert {name: shown[name].reason for name in told} == told
    assert {shown[name].status for name in told} == {Status.FAILED}
    assert {shown[name].warning for name in told} == {""}
    wide = board(top1=0.79, drop_pp=1.5, p95_ms=5.1).model_copy(update={"judge": JudgedBy.SHOWN})
    assert {judge(evidence(), wide, known)[name].status for name in told} == {Status.PASSED}


def test_detector_is_judged_by_its_own_limits(
    backend: Any, board: Board, evidence: Evidence, judge: Judge
) -> None:
    def detector(**changes: Any) -> Accuracy:
        score = backend.examples.score(0.5, metric="map", title="mAP", figures={"map50": 0.7})
        known = Accuracy(
            score,
            None,
            no_predictions=False,
            drop=backend.examples.drop(0.0),
            classes=(),
            provenance=MANIFEST,
        )
        return dataclasses.replace(known, **changes)

    def first(accuracy: Accuracy, **limits: Any) -> Case:
        return judge(evidence(), board(top1=None, **limits), accuracy)["accuracy"]

    assert first(detector(), map=0.4, map50=0.7).status is Status.PASSED
    assert first(detector(), map=0.6, map50=0.8).reason == "mAP 0.5 < 0.6; mAP50 0.7 < 0.8"
    no_predictions = detector(no_predictions=True, at_chance="detects nothing")
    assert first(no_predictions, better_than_guessing=False).reason == "detects nothing"
    unknown = detector(score=backend.examples.score(0.5, metric="map", figures={"map50": None}))
    assert first(unknown, map50=0.1).reason == "mAP50 is not known; at least 0.1 is required"
