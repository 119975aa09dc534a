from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import pytest

from edgetl.facts.training import ComparisonFacts
from edgetl.stages import STAGES, Node, NoOptions
from edgetl.store.store import Artifact, Request, Store
from edgetl.types import Split

STAGE = STAGES.load("compare")


def labelled(bench: Any, count: int) -> Artifact:
    """Return a dataset of two classes in turn, with `count` test images."""
    counts = {Split.TRAIN: 2, Split.VAL: 2, Split.TEST: count}
    dataset: Artifact = bench.dataset(counts)
    return dataset


def put_predictions(bench: Any, name: str, right: list[bool]) -> Artifact:
    """Return a student of two classes that answers as `right` says."""
    store = Store(bench.root / "store")
    request = Request("distill", 1, {"name": name}, {}, {})
    out, _, _ = store.folders(request)
    labels = np.arange(len(right)) % 2
    chosen = np.where(right, labels, 1 - labels)
    np.savez(out / "predictions.npz", allow_pickle=False, test_logits=np.eye(2, dtype="f4")[chosen])
    return store.commit(request, kind="student", label=name, facts={}, seconds=0.0)


def compared(bench: Any, student: list[bool], control: list[bool]) -> Artifact:
    job = bench.job()
    nodes = [Node("distill", key, job.tables["distill"], key=key) for key in ("student", "control")]
    [node] = bench.plan("compare", job, student=nodes)
    inputs = {
        "dataset": labelled(bench, len(student)),
        "student": put_predictions(bench, "student", student),
        "control": put_predictions(bench, "control", control),
    }
    artifact: Artifact = bench.run(node, inputs)
    return artifact


def test_student_without_control_is_not_compared(bench: Any) -> None:
    job = bench.job()
    alone = [Node("distill", "distill", job.tables["distill"], key="student")]

    assert bench.plan("compare", job, student=alone) == []


def test_refined_student_is_compared_before_its_refine_steps_which_the_control_lacks(
    bench: Any,
) -> None:
    job = bench.job()
    student, control = (
        Node("distill", key, job.tables["distill"], key=key) for key in ("student", "control")
    )
    once = Node("adapt", "adapt student", NoOptions(), {"model": student}, key="student")
    twice = Node("adapt", "adapt student 2", NoOptions(), {"model": once}, key="student")

    [node] = bench.plan("compare", job, student=[twice, control])

    assert node.inputs["student"] is student
    assert node.inputs["control"] is control


def test_gain_counts_images_that_only_one_of_them_gets_right(bench: Any) -> None:
    student = [True] * 90 + [False] * 10
    control = [True] * 70 + [False] * 25 + [True] * 5

    facts = compared(bench, student, control).read(ComparisonFacts)

    assert facts.images == 100
    assert facts.student
    assert facts.control
    assert facts.gain
    assert facts.student.metric == "top1"
    assert (facts.student.value, facts.control.value) == (0.9, 0.75)
    assert facts.gain.pp == 15.0
    assert 0.0 < facts.gain.low_pp < 15.0 < facts.gain.high_pp


@pytest.mark.parametrize(
    ("student", "control", "line"),
    [
        (100, 60, r"top-1 gain \+40\.0 pp \[\+\d+\.\d, \+\d+\.\d\]: the student is better with"),
        (60, 100, r"top-1 gain -40\.0 pp \[-\d+\.\d, -\d+\.\d\]: the student is worse with"),
        (80, 81, r"top-1 gain -1\.0 pp \[-\d+\.\d, \+\d+\.\d\]: no benefit shown"),
        (80, 80, r"top-1 gain \+0\.0 pp \[-\d+\.\d, \+\d+\.\d\]: no benefit shown"),
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
    ).read(ComparisonFacts)

    assert re.match(line, STAGE.summary(facts))


def test_without_test_images_no_gain_is_claimed(bench: Any) -> None:
    facts = compared(bench, [], []).read(ComparisonFacts)

    assert facts == ComparisonFacts(images=0)
    assert STAGE.summary(facts) == "no test images, so no gain can be measured"


def test_detectors_are_compared_by_map(bench: Any, untrained: Any) -> None:
    data = bench.boxes()
    students = {}
    for seed, name in enumerate(("student", "control")):
        store = Store(bench.root / "store")
        request = Request("distill", 1, {"name": name}, {}, {})
        out, _, _ = store.folders(request)
        folder = untrained(bench.root / name, data.folder, "yolox_nano", width=0.25, seed=seed)
        shutil.copy(folder / "predictions.npz", out)
        students[name] = store.commit(request, kind="student", label=name, facts={}, seconds=0.0)
    nodes = [Node("distill", key, NoOptions(), key=key) for key in ("student", "control")]
    [node] = bench.plan("compare", bench.job(), student=nodes)

    facts = bench.run(node, {"dataset": data, **students}).read(ComparisonFacts)

    assert facts.images == 8
    assert facts.student
    assert facts.control
    assert facts.gain
    assert facts.student.metric == "map"
    gain = 100 * (facts.student.value - facts.control.value)
    assert facts.gain.pp == pytest.approx(gain, abs=1e-3)
    assert STAGE.summary(facts).startswith("mAP gain ")
