"""Teach a small network what the teacher knows: the student, and its control."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from pydantic import Field

from edgetl.config.table import Table
from edgetl.errors import Problem
from edgetl.facts.training import TrainingFacts
from edgetl.models import FAMILIES
from edgetl.stages import Job, Node, Planned, Stage, Workspace
from edgetl.stages._candidates import CONTROL, STUDENT
from edgetl.stages._training import (
    family_of,
    missing_for_training,
    network_problems,
    network_settings,
    result_sentence,
    run_context,
)
from edgetl.stages._views import deployed_view, network_input, teacher_view
from edgetl.store.store import Artifact
from edgetl.train.options import (
    NO_WEIGHTS,
    DistillLoss,
    DistillTable,
    NetworkSettings,
    Training,
)
from edgetl.train.tasks import TASKS, TeacherSignal


class Settings(Table):
    """What a student depends on."""

    network: NetworkSettings
    training: Training
    loss: DistillLoss
    model: str
    """Name of the network: `STUDENT` or `CONTROL`."""
    device: str = Field(exclude=True)


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    student = job.recipe.student
    if student is None:
        return []
    table = cast("DistillTable", job.tables["distill"])
    task, seed = TASKS.load(job.recipe.task), job.recipe.seed
    settings = Settings(
        network=network_settings(job, student, seed=seed),
        training=task.student(table, seed=seed, pretrained=student.weights != NO_WEIGHTS),
        loss=task.distillation(table),
        model=STUDENT,
        device=job.recipe.device,
    )
    dataset = deployed_view(job, made)
    inputs = {"dataset": dataset, "teacher": made["teacher"][0]}
    if made["teacher outputs"]:
        inputs["teacher outputs"] = made["teacher outputs"][0]
    elif teacher_view(job, made) is not dataset:
        inputs["teacher dataset"] = teacher_view(job, made)
    nodes = [Node("distill", "distill", settings, inputs, key=STUDENT)]
    if table.control:
        # Alone with the labels; the same in everything else.
        alone = {"loss": DistillLoss(method="labels"), "model": CONTROL}
        control = settings.model_copy(update=alone)
        nodes.append(Node("distill", "control", control, {"dataset": dataset}, key=CONTROL))
    return nodes


def _check(job: Job) -> Iterator[Problem]:
    if job.recipe.student is None:
        return
    yield from network_problems(job, job.recipe.student, "student")
    task = TASKS.load(job.recipe.task)
    inputs = (network_input(job, table) for table in (job.recipe.student, job.recipe.teacher))
    if task.compares_maps and len(set(inputs)) > 1:
        yield Problem(
            "student.input",
            f"differs from the teacher's; for `task: {job.recipe.task}` a student follows maps of "
            "its teacher, so both need one input",
        )
    table = cast("DistillTable", job.tables["distill"])
    for name, why in task.problems(table):
        yield Problem(f"distill.{name}", why)


def _run(settings: Settings, inputs: Mapping[str, Artifact], work: Workspace) -> TrainingFacts:
    from edgetl.data.dataset import Dataset
    from edgetl.models import load_model
    from edgetl.train.device import open_fabric
    from edgetl.train.training_artifacts import write_training_artifacts
    from edgetl.train.weights import build_network

    dataset = Dataset.open(inputs["dataset"].folder)
    task = TASKS.load(dataset.task)
    family, module, report = build_network(settings.network, len(dataset.classes))
    work.progress.note(f"{settings.network.family}: {report.sentence()}")
    teacher_signal = None
    if "teacher" in inputs:
        spec, network = load_model(inputs["teacher"].folder)
        fabric = open_fabric(settings.device, mixed_precision=settings.training.mixed_precision)
        own, outputs = inputs.get("teacher dataset"), inputs.get("teacher outputs")
        teacher_signal = TeacherSignal(
            spec,
            network.to(fabric.device),
            settings.loss,
            dataset=Dataset.open(own.folder) if own else None,
            outputs=outputs.folder if outputs else None,
        )
    fitted = task.train_whole(
        module,
        family,
        settings.training,
        dataset=dataset,
        run_context=run_context(work, "student", settings.device, resumes=True),
        teacher_signal=teacher_signal,
    )
    facts = write_training_artifacts(
        work.out,
        fitted.module,
        network=settings.network,
        dataset=dataset,
        report=report,
        phases={"student": fitted},
        model=settings.model,
    )
    return facts.model_copy(update={"method": settings.loss.method})


def _summary(facts: TrainingFacts) -> str:
    alone = ", on labels alone" if facts.method == "labels" else ""
    return f"{result_sentence(facts)}{alone}"


def _tools(settings: Settings) -> tuple[str, ...]:
    return TASKS.load(FAMILIES.load(settings.network.family).task).tools


def _plugins(settings: Settings, inputs: Mapping[str, Artifact]) -> dict[str, str]:
    families = FAMILIES.stamp(settings.network.family)
    return families | family_of(inputs["teacher"]) if "teacher" in inputs else families


STAGE = Stage(
    name="distill",
    version=6,
    needs=("view", "teacher", "teacher outputs"),
    makes="student",
    options=DistillTable,
    plan=_plan,
    tools=_tools,
    facts=TrainingFacts,
    run=_run,
    summary=_summary,
    check=_check,
    missing=missing_for_training,
    plugins=_plugins,
)
