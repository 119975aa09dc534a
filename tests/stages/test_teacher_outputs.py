"""Teacher outputs: planned where views come back, shared by all that learn from the teacher."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgetl.stages import Job, Node
from edgetl.stages.teacher_outputs import STAGE
from edgetl.train.teacher_logits import LOGITS_FILE

STUDENT = {"family": "mobilenet_v3_small", "width": 0.35, "weights": "none"}


def job_of(bench: Any, *, size: int = 32, **distill: Any) -> Job:
    student = {**STUDENT, "input": {"size": size}}
    job: Job = bench.job({"distill": {"epochs": 4, **distill}}, student=student)
    return job


def planned(bench: Any, job: Job) -> list[Node]:
    (teacher,) = bench.plan("finetune", job)
    nodes: list[Node] = bench.plan("teacher_outputs", job, teacher=[teacher])
    return nodes


@pytest.mark.parametrize(
    ("distill", "views"),
    [
        ({}, None),
        ({"views": 2}, 2),
        ({"views": 4}, 4),
        ({"views": 5}, None),
        ({"augment": "flip"}, 2),
        ({"augment": "none", "views": 3}, 1),
    ],
    ids=["live", "few", "one each", "more than epochs", "flip", "none"],
)
def test_outputs_are_planned_where_views_come_back(
    bench: Any, distill: dict[str, Any], views: int | None
) -> None:
    nodes = planned(bench, job_of(bench, **distill))
    counts = [node.settings.model_dump()["num_views"] for node in nodes]
    assert counts == ([] if views is None else [views])


def test_nothing_is_planned_without_a_student_or_for_boxes(bench: Any) -> None:
    assert planned(bench, bench.job({"distill": {"views": 2}})) == []
    yolox = {"family": "yolox_nano", "weights": "none"}
    job = bench.job({"distill": {"views": 2}}, task="detection", teacher=yolox, student=yolox)
    assert planned(bench, job) == []


def test_student_learns_from_recorded_outputs_as_from_the_teacher(bench: Any) -> None:
    dataset = bench.dataset()
    job = job_of(bench, augment="flip", epochs=2, batch_size=8)
    (finetune,) = bench.plan("finetune", job)
    (outputs,) = planned(bench, job)
    teacher_job = bench.job({"finetune": {"strategy": "full", "epochs": 1}})
    (trained,) = bench.plan("finetune", teacher_job)
    teacher = bench.run(trained, {"dataset": dataset})
    recorded = bench.run(outputs, {"dataset": dataset, "teacher": teacher})
    assert recorded.manifest.facts == {"images": 24, "views": 2}
    told = STAGE.summary(STAGE.facts.model_validate(recorded.manifest.facts))
    assert told == "2 views of 24 images through the teacher"
    logits = np.load(recorded.folder / LOGITS_FILE)
    assert (logits.shape, logits.dtype) == ((2, 24, 2), np.float32)
    student, control = bench.plan(
        "distill", job, teacher=[finetune], **{"teacher outputs": [outputs]}
    )
    assert student.inputs["teacher outputs"] is outputs
    assert "teacher outputs" not in control.inputs
    inputs = {"dataset": dataset, "teacher": teacher}
    live = bench.run(student, inputs).manifest.facts["val"]
    read = bench.run(student, {**inputs, "teacher outputs": recorded}).manifest.facts["val"]
    assert read == live


def test_teacher_with_another_input_is_read_at_its_own(bench: Any) -> None:
    job = job_of(bench, size=40)
    (finetune,) = bench.plan("finetune", job)
    student, control = bench.plan("distill", job, teacher=[finetune])
    assert student.inputs["dataset"].label == "view 40"
    assert student.inputs["teacher dataset"].label == "view 32"
    assert finetune.inputs["dataset"].label == "view 32"
    assert set(control.inputs) == {"dataset"}
    assert bench.problems("distill", job) == bench.problems("compare", job)


def test_detectors_with_two_inputs_are_not_distilled(bench: Any) -> None:
    yolox = {"family": "yolox_nano", "weights": "none"}
    job = bench.job(
        task="detection",
        input={"size": 64},
        teacher=yolox,
        student={**yolox, "input": {"size": 96}},
    )
    expected = (
        "student.input: differs from the teacher's; `method: pkd` compares feature maps, so "
        "both need the same input"
    )
    assert expected in bench.problems("distill", job)
