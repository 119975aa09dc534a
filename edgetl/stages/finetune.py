"""Teach a pretrained network what is labelled on the images: the teacher."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from pydantic import Field

from edgetl.config.table import Table
from edgetl.errors import Problem
from edgetl.facts.training import TrainingFacts
from edgetl.models import FAMILIES
from edgetl.stages import Job, Node, Planned, Stage, Workspace
from edgetl.stages._candidates import TEACHER
from edgetl.stages._training import (
    missing_for_training,
    network_problems,
    network_settings,
    result_sentence,
    run_context,
)
from edgetl.stages._views import teacher_view
from edgetl.store.store import Artifact
from edgetl.train.options import NO_WEIGHTS, FinetuneTable, NetworkSettings, Training
from edgetl.train.tasks import TASKS

if TYPE_CHECKING:
    from edgetl.train.fit import Fitted


class Settings(Table):
    """What the teacher depends on."""

    network: NetworkSettings
    probe: Training | None
    """Of the head alone; None where the strategy has no probe."""
    full: Training | None
    """Of the whole network; None where the strategy ends with the probe."""
    device: str = Field(exclude=True)


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    table = cast("FinetuneTable", job.tables["finetune"])
    task, seed = TASKS.load(job.recipe.task), job.recipe.seed
    pretrained = job.recipe.teacher.weights != NO_WEIGHTS
    settings = Settings(
        network=network_settings(job, job.recipe.teacher, seed=seed),
        probe=task.probe(table, seed=seed),
        full=task.whole(table, seed=seed, pretrained=pretrained),
        device=job.recipe.device,
    )
    inputs = {"dataset": teacher_view(job, made)}
    for features in made["features"]:
        inputs["features"] = features
    return [Node("finetune", "finetune", settings, inputs, key=TEACHER)]


def _check(job: Job) -> Iterator[Problem]:
    table = cast("FinetuneTable", job.tables["finetune"])
    yield from network_problems(job, job.recipe.teacher, "teacher")
    task = TASKS.load(job.recipe.task)
    for name, why in task.problems(table):
        yield Problem(f"finetune.{name}", why)
    if job.recipe.teacher.weights == NO_WEIGHTS and task.probe(table, seed=0):
        strategy = table.strategy or "probe-then-full"
        yield Problem(
            "finetune.strategy",
            f"`{strategy}` trains the head on what the rest of the network has learned, but with "
            "`teacher.weights: none` it has learned nothing; set `strategy: full`, or give weights",
        )


def _run(settings: Settings, inputs: Mapping[str, Artifact], work: Workspace) -> TrainingFacts:
    from edgetl.data.dataset import Dataset
    from edgetl.train.training_artifacts import write_training_artifacts
    from edgetl.train.weights import build_network

    dataset = Dataset.open(inputs["dataset"].folder)
    task = TASKS.load(dataset.task)
    family, module, report = build_network(settings.network, len(dataset.classes))
    work.progress.note(f"{settings.network.family}: {report.sentence()}")
    phases: dict[str, Fitted] = {}
    if settings.probe:
        phases["probe"] = task.train_probe(
            module,
            family,
            settings.probe,
            dataset=dataset,
            features=inputs["features"].folder if "features" in inputs else None,
            run_context=run_context(
                work, "probe", settings.device, resumes=not task.caches_features
            ),
        )
    if settings.full:
        before = {name: value.clone() for name, value in module.state_dict().items()}
        phases["full"] = task.train_whole(
            module,
            family,
            settings.full,
            dataset=dataset,
            run_context=run_context(work, "full", settings.device, resumes=True),
        )
        if _is_worse(phases["full"], phases.get("probe")):
            work.progress.note("training the whole network made it worse; the probe is kept")
            module.load_state_dict(before)
            phases["full"] = dataclasses.replace(phases["full"], best_epoch=0)
    return write_training_artifacts(
        work.out,
        module.eval(),
        network=settings.network,
        dataset=dataset,
        report=report,
        phases=phases,
        model=TEACHER,
    )


def _is_worse(full: Fitted, probe: Fitted | None) -> bool:
    after, before = full.validation, probe.validation if probe else None
    return bool(after and before and after.selection_key("metric") < before.selection_key("metric"))


def _tools(settings: Settings) -> tuple[str, ...]:
    return TASKS.load(FAMILIES.load(settings.network.family).task).tools


def _plugins(settings: Settings, inputs: Mapping[str, Artifact]) -> dict[str, str]:
    del inputs
    return FAMILIES.stamp(settings.network.family)


STAGE = Stage(
    name="finetune",
    version=6,
    needs=("view", "features"),
    makes="teacher",
    options=FinetuneTable,
    plan=_plan,
    tools=_tools,
    facts=TrainingFacts,
    run=_run,
    summary=result_sentence,
    check=_check,
    missing=missing_for_training,
    plugins=_plugins,
)
