"""Teach a pretrained network the classes of the photos: the teacher."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast

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
    FinetuneTable,
    NetworkSettings,
    Training,
    resolve,
    resolve_probe,
)
from edgetl.types import Facts, Split

if TYPE_CHECKING:
    from edgetl.train.fit import Fitted

_FROM_SCRATCH = {"adamw": 2e-3, "sgd": 0.05}
_PRETRAINED = {"adamw": 2e-3, "sgd": 0.02}
_AFTER_PROBE = {"adamw": 1e-3, "sgd": 0.01}
"""Lower, as the head is already right and large steps would undo the backbone first."""


class Settings(Table):
    """What the teacher depends on."""

    network: NetworkSettings
    probe: Training | None
    """Of the last layer on cached features; None where the strategy has no probe."""
    full: Training | None
    """Of the whole network; None where the strategy ends with the probe."""
    device: str = Field(exclude=True)


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    table = cast("FinetuneTable", job.tables["finetune"])
    seed = job.recipe.seed
    if job.recipe.teacher.weights == NO_WEIGHTS:
        rates = _FROM_SCRATCH
    else:
        rates = _AFTER_PROBE if table.probes else _PRETRAINED
    settings = Settings(
        network=network_settings(job, job.recipe.teacher, seed=seed),
        probe=resolve_probe(table, seed=seed) if table.probes else None,
        full=None if table.strategy == "linear-probe" else resolve(table, rates, seed=seed),
        device=job.recipe.device,
    )
    inputs = {"dataset": made["dataset"][0]}
    if table.probes:
        inputs["features"] = made["features"][0]
    return [Node("finetune", "finetune", settings, inputs)]


def _check(job: Job) -> Iterator[Problem]:
    table = cast("FinetuneTable", job.tables["finetune"])
    yield from network_problems(job, job.recipe.teacher, "teacher")
    if job.recipe.teacher.weights == NO_WEIGHTS and table.probes:
        yield Problem(
            "finetune.strategy",
            f"`{table.strategy}` trains the last layer on what the backbone has learned, but with "
            "`teacher.weights: none` it has learned nothing; set `strategy: full`, or give weights",
        )


def _run(settings: Settings, inputs: Mapping[str, Artifact], work: Workspace) -> Facts:
    from edgetl.data.dataset import Dataset
    from edgetl.train.features import read_features
    from edgetl.train.outcome import write_outcome
    from edgetl.train.strategies import train_probe, train_whole
    from edgetl.train.weights import build_network

    dataset = Dataset.open(inputs["dataset"].folder)
    family, module, report = build_network(settings.network, len(dataset.classes))
    work.progress.note(f"{settings.network.family}: {report.sentence()}")
    phases: dict[str, Fitted] = {}
    if settings.probe:
        folder = inputs["features"].folder
        phases["probe"] = train_probe(
            module,
            family,
            settings.probe,
            features=read_features(folder, Split.TRAIN, dataset),
            val_features=read_features(folder, Split.VAL, dataset),
            surroundings=surroundings(work, "probe", settings.device, resumes=False),
        )
    if settings.full:
        before = {name: value.clone() for name, value in module.state_dict().items()}
        phases["full"] = train_whole(
            module,
            family,
            settings.full,
            dataset=dataset,
            surroundings=surroundings(work, "full", settings.device, resumes=True),
        )
        if _is_worse(phases["full"], phases.get("probe")):
            work.progress.note("training the whole network made it worse; the probe is kept")
            module.load_state_dict(before)
            phases["full"] = dataclasses.replace(phases["full"], best_epoch=0)
    return write_outcome(
        work.out,
        module.eval(),
        network=settings.network,
        dataset=dataset,
        report=report,
        phases=phases,
    )


def _is_worse(full: Fitted, probe: Fitted | None) -> bool:
    after, before = full.validation, probe.validation if probe else None
    return bool(after and before and after.merit("top1") < before.merit("top1"))


def _tools(settings: Settings) -> tuple[str, ...]:
    del settings
    return ("numpy", "torch", "torchvision")


STAGE = Stage(
    name="finetune",
    version=1,
    needs=("dataset", "features"),
    makes="teacher",
    options=FinetuneTable,
    plan=_plan,
    tools=_tools,
    run=_run,
    summary=result_sentence,
    check=_check,
)
