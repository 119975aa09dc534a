"""Fine-tune a pretrained network on the labelled images: the teacher."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from edgetl.config.recipe import InputTable
from edgetl.config.table import Table
from edgetl.errors import Problem
from edgetl.facts.training import TrainingFacts
from edgetl.models import FAMILIES
from edgetl.stages import Cores, Job, Node, Planned, Root, Stage, Workspace
from edgetl.stages._phases import (
    STRATEGY_KEYS,
    TEACHER,
    finetune_phases,
    finetune_table,
    strategies_from_scratch,
)
from edgetl.stages._training import (
    missing_for_training,
    network_plugins,
    network_problems,
    network_settings,
    result_sentence,
    run_context,
    unread_table,
)
from edgetl.stages._views import model_view, network_input
from edgetl.stages._weights import fetch_pretrained
from edgetl.store.store import Artifact
from edgetl.tasks import TASKS
from edgetl.train.options import NO_WEIGHTS, FinetuneTable, NetworkSettings
from edgetl.train.strategies import STRATEGIES, Phase

if TYPE_CHECKING:
    from edgetl.train.fit import Fitted
    from edgetl.train.interfaces import Validation


class Settings(Table):
    """What the teacher depends on in addition to its inputs."""

    network: NetworkSettings
    strategy: str
    phases: tuple[Phase, ...] = Field(min_length=1)
    """In the order in which they run."""
    device: str = Field(exclude=True)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Settings:
        names = [phase.name for phase in self.phases]
        if len(set(names)) < len(names):
            raise ValueError(f"strategy '{self.strategy}' has phases with the same name: {names}")
        return self


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    teacher = job.recipe.teacher
    if teacher is None:
        return []
    settings = Settings(
        network=network_settings(job, teacher, seed=job.recipe.seed),
        strategy=finetune_table(job).strategy,
        phases=finetune_phases(job, teacher),
        device=job.recipe.device,
    )
    inputs = {"dataset": model_view(job, made, TEACHER)}
    for features in made["features"]:
        inputs["features"] = features
    return [Node("finetune", "finetune", settings, inputs, key=TEACHER)]


def _input(job: Job) -> InputTable | None:
    return None if job.recipe.teacher is None else network_input(job, job.recipe.teacher)


def _check(job: Job) -> Iterator[Problem]:
    teacher = job.recipe.teacher
    if teacher is None:
        yield from unread_table(job, "finetune", "teacher")
        return
    problems = list(network_problems(job, teacher, "teacher"))
    yield from problems
    if problems or teacher.weights != NO_WEIGHTS:
        return
    head = FAMILIES.load(teacher.family).head
    if finetune_phases(job, teacher)[0].trains_only(head):
        names = strategies_from_scratch(job, teacher)
        fitting = " or ".join(f"`strategy: {name}`" for name in names)
        yield Problem(
            "finetune.strategy",
            f"`{finetune_table(job).strategy}` trains the head on what the rest of the network has "
            f"learned, but with `teacher.weights: none` it has learned nothing; set {fitting}, or "
            "give weights",
        )


def _prepare(settings: Settings) -> None:
    fetch_pretrained(settings.network)


def _run(settings: Settings, inputs: Mapping[str, Artifact], work: Workspace) -> TrainingFacts:
    from edgetl.data.dataset import Dataset
    from edgetl.train.training_artifacts import write_training_artifacts
    from edgetl.train.weights import build_network

    dataset = Dataset.open(inputs["dataset"].folder)
    task = TASKS.load(dataset.task)
    family, module, report = build_network(settings.network, len(dataset.classes))
    work.progress.note(f"{settings.network.family}: {report.sentence()}")
    phases: dict[str, Fitted] = {}
    kept: Validation | None = None
    for phase in settings.phases:
        before = {}
        if phase.revert_if_worse:
            before = {name: value.clone() for name, value in module.state_dict().items()}
        fitted = task.training.train(
            module,
            family,
            phase,
            dataset=dataset,
            features=inputs["features"].folder if "features" in inputs else None,
            run_context=run_context(
                work, phase.name, settings.device, resumes=not phase.cached_features
            ),
        )
        if phase.revert_if_worse and _is_worse(fitted.validation, kept):
            work.progress.note(
                f"phase `{phase.name}` made the network worse; its weights from before are kept"
            )
            module.load_state_dict(before)
            fitted = dataclasses.replace(fitted, best_epoch=0)
        else:
            kept = fitted.validation
        phases[phase.name] = fitted
    return write_training_artifacts(
        work.out,
        module.eval(),
        network=settings.network,
        dataset=dataset,
        evaluation=task.evaluation,
        report=report,
        phases=phases,
        model=TEACHER,
    )


def _is_worse(after: Validation | None, before: Validation | None) -> bool:
    return bool(after and before and after.selection_key("metric") < before.selection_key("metric"))


def _tools(settings: Settings) -> tuple[str, ...]:
    return TASKS.load(FAMILIES.load(settings.network.family).task).training.tools


def _plugins(settings: Settings, inputs: Mapping[str, Artifact]) -> dict[str, str]:
    del inputs
    return network_plugins(settings.network) | STRATEGIES.stamp(settings.strategy)


STAGE = Stage(
    name="finetune",
    version=6,
    needs=("view", "features"),
    makes="teacher",
    root=Root(TEACHER, _input),
    options=FinetuneTable,
    plan=_plan,
    tools=_tools,
    facts=TrainingFacts,
    run=_run,
    summary=result_sentence,
    check=_check,
    missing=missing_for_training,
    prepare=_prepare,
    plugins=_plugins,
    methods=STRATEGY_KEYS,
    cores=Cores.ALL,
)
