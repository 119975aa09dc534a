from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgetl.stages import STAGES, Node
from edgetl.store.store import Artifact, Request, Store

STAGE = STAGES.load("compare")


def answered(bench: Any, name: str, right: list[bool]) -> Artifact:
    """Return a student of two classes that answers as `right` says."""
    store = Store(bench.root / "store")
    request = Request("distill", 1, {"name": name}, {}, {})
    out, _, _ = store.folders(request)
    labels = np.arange(len(right)) % 2
    answers = np.where(right, labels, 1 - labels)
    logits = np.eye(2, dtype=np.float32)[answers]
    np.savez(
        out / "logits.npz",
        allow_pickle=False,
        val_logits=logits,
        val_labels=labels,
        test_logits=logits,
        test_labels=labels,
    )
    return store.commit(request, kind="student", label=name, facts={}, seconds=0.0)


def compared(bench: Any, student: list[bool], control: list[bool]) -> Artifact:
    job = bench.job()
    nodes = [Node("distill", label, job.tables["distill"]) for label in ("distill", "control")]
    [node] = bench.plan("compare", job, student=nodes)
    inputs = {
        "student": answered(bench, "student", student),
        "control": answered(bench, "control", control),
    }
    artifact: Artifact = bench.run(node, inputs)
    return artifact


def test_student_without_control_is_not_compared(bench: Any) -> None:
    job = bench.job()
    alone = [Node("distill", "distill", job.tables["distill"])]

    assert bench.plan("compare", job, student=alone) == []


def test_gain_counts_photos_that_only_one_of_them_gets_right(bench: Any) -> None:
    student = [True] * 90 + [False] * 10
    control = [True] * 70 + [False] * 25 + [True] * 5

    facts = compared(bench, student, control).facts

    assert facts["photos"] == 100
    assert (facts["student"]["top1"], facts["control"]["top1"]) == (0.9, 0.75)
    assert (facts["only_student_right"], facts["only_control_right"]) == (20, 5)
    assert facts["gain_pp"] == 15.0
    assert 0.0 < facts["low_pp"] < 15.0 < facts["high_pp"]


@pytest.mark.parametrize(
    ("student", "control", "line"),
    [
        (100, 60, r"gain \+40\.0 pp \[\+\d+\.\d, \+\d+\.\d\]: the student is better with its tea"),
        (60, 100, r"gain -40\.0 pp \[-\d+\.\d, -\d+\.\d\]: the student is worse with its teacher"),
        (80, 81, r"gain -1\.0 pp \[-\d+\.\d, \+\d+\.\d\]: no benefit shown"),
        (80, 80, r"gain \+0\.0 pp \[-\d+\.\d, \+\d+\.\d\]: no benefit shown"),
    ],
    ids=["better", "worse", "a little worse", "equal"],
)
def test_result_is_said_in_plain_words_whatever_it_is(
    bench: Any, student: int, control: int, line: str
) -> None:
    import re

    facts = compared(
        bench,
        [row < student for row in range(100)],
        [row < control for row in range(100)],
    ).facts

    assert re.match(line, STAGE.summary(facts))


def test_without_test_photos_no_gain_is_claimed(bench: Any) -> None:
    facts = compared(bench, [], []).facts

    assert facts == {"photos": 0}
    assert STAGE.summary(facts) == "no test photos, so no gain can be measured"
