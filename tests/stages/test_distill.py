from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgetl.models import load_model
from edgetl.stages import STAGES, Node
from edgetl.store.store import Artifact

STAGE = STAGES.load("distill")
STUDENT: dict[str, object] = {"family": "mobilenet_v3_small", "width": 0.25}
SHORT: dict[str, object] = {"epochs": 2, "batch_size": 8, "warmup_epochs": 0}


def planned(bench: Any, options: dict[str, object], **fields: object) -> list[Node]:
    job = bench.job({"distill": options}, **{"student": STUDENT, **fields})
    teacher = [Node("finetune", "finetune", job.tables["finetune"])]
    nodes: list[Node] = bench.plan("distill", job, teacher=teacher)
    return nodes


@pytest.fixture
def inputs(bench: Any) -> dict[str, Artifact]:
    """Return the dataset, and a teacher that was trained on it for a moment."""
    dataset = bench.dataset()
    job = bench.job({"finetune": {"strategy": "full", **SHORT}})
    [node] = bench.plan("finetune", job)
    return {"dataset": dataset, "teacher": bench.run(node, {"dataset": dataset})}


def test_no_student_in_the_recipe_means_no_distillation(bench: Any) -> None:
    assert planned(bench, {}, student=None) == []


def test_control_is_the_same_student_with_another_loss_and_no_teacher(bench: Any) -> None:
    student, control = planned(bench, {})

    assert [student.label, control.label] == ["distill", "control"]
    assert set(student.inputs) == {"dataset", "teacher"}
    assert set(control.inputs) == {"dataset"}
    dumps = [node.settings.model_dump(mode="json") for node in (student, control)]
    methods = [dump.pop("method") for dump in dumps]
    assert [dump.pop("model") for dump in dumps] == ["student", "control"]
    assert dumps[0] == dumps[1]
    # What only this task has is in the key, too.
    assert dumps[0]["training"]["label_smoothing"] == 0.1
    assert methods == [
        {"name": "dkd", "options": {"temperature": 4.0, "alpha": 1.0, "beta": 2.0}},
        None,
    ]


def test_control_weighs_labels_as_one_whatever_the_student_does(bench: Any) -> None:
    nodes = planned(bench, {"label_weight": 0.25})

    dumps = [node.settings.model_dump() for node in nodes]
    assert [dump["label_weight"] for dump in dumps] == [0.25, 1.0]


def test_version_of_the_method_is_in_the_key_of_the_student_alone(
    bench: Any, inputs: dict[str, Artifact]
) -> None:
    student, control = planned(bench, {})

    assert STAGE.plugins(student.settings, inputs)["distillation method dkd"] == "1"
    assert "distillation method dkd" not in STAGE.plugins(control.settings, {})


def test_control_can_be_left_out(bench: Any) -> None:
    assert [node.label for node in planned(bench, {"control": False})] == ["distill"]


@pytest.mark.parametrize("method", ["dkd", "soft-targets"])
def test_teacher_changes_the_student_and_nothing_else_does(
    bench: Any, inputs: dict[str, Artifact], method: str
) -> None:
    student, control = planned(bench, {**SHORT, "method": method})
    dataset = {"dataset": inputs["dataset"]}

    teacher_outputs = bench.run(student, inputs)
    alone = bench.run(control, dataset)

    weights = [
        load_model(artifact.folder)[1].state_dict()["features.0.0.weight"]
        for artifact in (teacher_outputs, alone)
    ]
    assert not torch.equal(*weights)
    assert teacher_outputs.manifest.facts["method"] == method
    assert alone.manifest.facts["method"] == "labels"
    assert STAGE.summarise(alone).endswith("], on labels alone")


def test_student_that_ignores_its_teacher_is_its_own_control(
    bench: Any, inputs: dict[str, Artifact]
) -> None:
    student, control = planned(bench, {**SHORT, "method": "soft-targets", "soft_weight": 0.0})

    teacher_outputs = bench.run(student, inputs)
    alone = bench.run(control, {"dataset": inputs["dataset"]})

    assert teacher_outputs.file("model.safetensors").read_bytes() == (
        alone.file("model.safetensors").read_bytes()
    )


@pytest.mark.parametrize("augment", ["none", "flip", "light"])
def test_rerun_gives_the_same_bytes_with_cached_and_with_live_teacher(
    bench: Any, inputs: dict[str, Artifact], augment: str
) -> None:
    [student] = planned(bench, {**SHORT, "augment": augment, "control": False})

    first = bench.run(student, inputs)
    second = bench.run(student, inputs, "2")

    assert first.manifest.digest == second.manifest.digest
    with np.load(first.file("predictions.npz")) as arrays:
        assert arrays["test_logits"].shape == (8, 2)


def test_student_that_cannot_be_built_is_refused_before_training(bench: Any) -> None:
    job = bench.job(student={"family": "mobilenet_v9"})

    assert "student.family: unknown model family 'mobilenet_v9'" in bench.problems("distill", job)


def test_table_without_a_student_is_refused(bench: Any) -> None:
    assert bench.problems("distill", bench.job({"distill": {"method": "dkd"}})) == (
        "recipe.yaml: distill: is only read where a `student` is trained; remove it, "
        "or write `distill: null`"
    )
    assert bench.problems("distill", bench.job()) == ""


def test_method_that_needs_what_the_task_does_not_provide_is_refused(
    bench: Any, install_package: Callable[..., Path]
) -> None:
    source = (
        "from dataclasses import replace\n"
        "from edgetl.train.distillation import Signal\n"
        "from edgetl.train.distillation.dkd import METHOD as DKD\n"
        "METHOD = replace(DKD, signals=frozenset(Signal))\n"
    )
    install_package(
        "acme-all", {"acme_all.py": source}, {"edgetl.distillation": {"all": "acme_all"}}
    )

    refused, fitting = (
        bench.problems("distill", bench.job({"distill": {"method": method}}, student=STUDENT))
        for method in ("all", "dkd")
    )

    assert refused == (
        "recipe.yaml: distill.method: 'all' needs detections, features, which classification "
        "does not provide; choose another method"
    )
    assert fitting == ""


DETECTION: dict[str, Any] = {
    "task": "detection",
    "teacher": {"family": "yolox_nano", "width": 0.25, "weights": "none"},
    "student": {"family": "mobilenet_v3_small_yolox", "width": 0.25},
}


def test_method_left_out_is_that_of_the_task(bench: Any) -> None:
    dumps = [planned(bench, {}, **fields)[0].settings.model_dump() for fields in ({}, DETECTION)]

    assert [dump["method"]["name"] for dump in dumps] == ["dkd", "pkd"]


def test_detector_learns_from_a_detector_of_another_family(bench: Any) -> None:
    dataset = bench.boxes()
    job = bench.job({"finetune": {"strategy": "full", "epochs": 1, "batch_size": 8}}, **DETECTION)
    [node] = bench.plan("finetune", job)
    inputs = {"dataset": dataset, "teacher": bench.run(node, {"dataset": dataset})}
    student, control = planned(bench, {"epochs": 1, "batch_size": 8}, **DETECTION)

    teacher_outputs, again = (bench.run(student, inputs, name) for name in ("", "2"))
    alone = bench.run(control, {"dataset": dataset})

    assert teacher_outputs.manifest.digest == again.manifest.digest
    assert teacher_outputs.manifest.facts["method"] == "pkd"
    assert alone.manifest.facts["method"] == "labels"
    # The adapters are no part of the student.
    networks = [
        load_model(artifact.folder)[1].state_dict() for artifact in (teacher_outputs, alone)
    ]
    assert list(networks[0]) == list(networks[1])
    assert any(not torch.equal(value, networks[1][name]) for name, value in networks[0].items())
