"""Teach a small network what the teacher knows: the student, and its control."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from pydantic import Field

from edgetl.config.table import Table
from edgetl.errors import Problem
from edgetl.stages import Job, Node, Planned, Stage, Workspace
from edgetl.stages._training import (
    network_problems,
    network_settings,
    result_sentence,
    surroundings,
)
from edgetl.store.store import Artifact
from edgetl.train.options import (
    NO_WEIGHTS,
    DistillLoss,
    DistillTable,
    NetworkSettings,
    Training,
    resolve,
    resolve_loss,
)
from edgetl.types import Facts

_FROM_SCRATCH = {"adamw": 2e-3, "sgd": 0.05}
_PRETRAINED = {"adamw": 1e-3, "sgd": 0.02}


class Settings(Table):
    """What a student depends on."""

    network: NetworkSettings
    training: Training
    loss: DistillLoss
    device: str = Field(exclude=True)


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    student = job.recipe.student
    if student is None:
        return []
    table = cast("DistillTable", job.tables["distill"])
    seed = job.recipe.seed
    rates = _FROM_SCRATCH if student.weights == NO_WEIGHTS else _PRETRAINED
    settings = Settings(
        network=network_settings(job, student, seed=seed),
        training=resolve(table, rates, seed=seed),
        loss=resolve_loss(table),
        device=job.recipe.device,
    )
    dataset = made["dataset"][0]
    inputs = {"dataset": dataset, "teacher": made["teacher"][0]}
    nodes = [Node("distill", "distill", settings, inputs)]
    if table.control:
        # Alone with the labels; the same in everything else.
        control = settings.model_copy(update={"loss": DistillLoss(method="labels")})
        nodes.append(Node("distill", "control", control, {"dataset": dataset}))
    return nodes


def _check(job: Job) -> Iterator[Problem]:
    if job.recipe.student is not None:
        yield from network_problems(job, job.recipe.student, "student")


def _run(settings: Settings, inputs: Mapping[str, Artifact], work: Workspace) -> Facts:
    from edgetl.data.dataset import Dataset
    from edgetl.models import load_model
    from edgetl.train.device import open_fabric
    from edgetl.train.outcome import write_outcome
    from edgetl.train.strategies import Lesson, train_whole
    from edgetl.train.teachers import make_teacher
    from edgetl.train.weights import build_network

    dataset = Dataset.open(inputs["dataset"].folder)
    family, module, report = build_network(settings.network, len(dataset.classes))
    work.progress.note(f"{settings.network.family}: {report.sentence()}")
    lesson = None
    if "teacher" in inputs:
        spec, network = load_model(inputs["teacher"].folder)
        fabric = open_fabric(settings.device, mixed_precision=settings.training.mixed_precision)
        teacher = make_teacher(
            network.to(fabric.device), spec, dataset, augment=settings.training.augment
        )
        lesson = Lesson(teacher, settings.loss)
    fitted = train_whole(
        module,
        family,
        settings.training,
        dataset=dataset,
        surroundings=surroundings(work, "student", settings.device, resumes=True),
        lesson=lesson,
    )
    facts = write_outcome(
        work.out,
        fitted.module,
        network=settings.network,
        dataset=dataset,
        report=report,
        phases={"student": fitted},
    )
    return {**facts, "method": settings.loss.method}


def _summary(facts: Facts) -> str:
    alone = ", on labels alone" if facts["method"] == "labels" else ""
    return f"{result_sentence(facts)}{alone}"


def _tools(settings: Settings) -> tuple[str, ...]:
    del settings
    return ("numpy", "torch", "torchvision")


STAGE = Stage(
    name="distill",
    version=1,
    needs=("dataset", "teacher"),
    makes="student",
    options=DistillTable,
    plan=_plan,
    tools=_tools,
    run=_run,
    summary=_summary,
    check=_check,
)
