"""Adapt a model to unlabelled images from where it will work: a refining stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from edgetl.config.table import Table
from edgetl.errors import DataError, Problem
from edgetl.facts.training import AdaptationFacts
from edgetl.stages import (
    REFINED_KIND,
    Cores,
    Inspection,
    Job,
    Node,
    Planned,
    Progress,
    Refining,
    Stage,
    Workspace,
    no_nodes,
)
from edgetl.stages._model_chain import refined_label
from edgetl.stages._training import accuracy_text, family_of
from edgetl.stages._views import model_view
from edgetl.store.store import Artifact
from edgetl.tasks import TASKS
from edgetl.types import Role, Split

if TYPE_CHECKING:  # planning must not wait for torch
    import torch
    from torch import Tensor

    from edgetl.data.dataset import Dataset
    from edgetl.models import ModelSpec

_BATCH = 64
"""Images per batch of statistics; the more, the closer to the statistics of all images."""
_MIN_IMAGES = 2


class AdaptTable(Table):
    """How a model is adapted to the images of `unlabelled`."""

    method: Literal["bn-statistics"] = "bn-statistics"
    """`bn-statistics`: mean and variance of every batch norm become those of the unlabelled images
    (AdaBN, Li et al. 2016). No label and no training is needed."""


class Settings(Table):
    """What the adapted model depends on in addition to its inputs."""

    model: str
    options: AdaptTable
    seed: int
    """Of the order of the images."""
    task: str = Field(exclude=True)
    """Enters the key by its version and the tools of its evaluation alone."""
    device: str = Field(exclude=True)


def _refine(job: Job, step: Refining, made: Planned) -> Node:
    if not isinstance(step.options, AdaptTable):
        raise TypeError(f"the options of 'adapt' are a {type(step.options).__name__}")
    inputs = {
        "model": step.source,
        "dataset": model_view(job, made, step.model),
        "unlabelled": model_view(job, made, step.model, role=Role.UNLABELLED),
    }
    settings = Settings(
        model=step.model,
        options=step.options,
        seed=job.recipe.seed,
        task=job.recipe.task,
        device=job.recipe.device,
    )
    return Node("adapt", refined_label(step, "adapt"), settings, inputs, key=step.model)


def _check(job: Job) -> Iterator[Problem]:
    if job.recipe.unlabelled is not None:
        return
    for refinements in job.refinements.values():
        for refinement in refinements:
            if refinement.stage == "adapt":
                yield Problem(
                    refinement.where,
                    "needs unlabelled images from where the model will work; "
                    "add `unlabelled: {path: FOLDER}` to the recipe",
                )


def _inspect(job: Job, progress: Progress) -> Inspection:
    """Return whether there are enough unlabelled images, where a model is adapted."""
    del progress
    steps = [step for steps in job.refinements.values() for step in steps]
    problems = [
        Problem("unlabelled.path", str(_too_few(num_images)))
        for each in job.overviews
        if each.facts.role is Role.UNLABELLED and any(step.stage == "adapt" for step in steps)
        for num_images in [each.facts.images[Split.TRAIN]]
        if num_images < _MIN_IMAGES
    ]
    return Inspection(tuple(problems))


def _too_few(num_images: int) -> DataError:
    return DataError(
        f"`unlabelled` has {num_images} image, but statistics need at least {_MIN_IMAGES}",
        remedy="add images from where the model will work",
    )


def _foresee(settings: Settings, inputs: Mapping[str, Artifact]) -> None:
    """Count the unlabelled images before a model is trained that is to be adapted."""
    from edgetl.data.dataset import Dataset

    del settings
    if "unlabelled" in inputs:
        _count(Dataset.open(inputs["unlabelled"].folder))


def _count(unlabelled: Dataset) -> int:
    """Return the number of unlabelled images; DataError if there are too few."""
    num_images = len(unlabelled.items(Split.TRAIN))
    if num_images < _MIN_IMAGES:
        raise _too_few(num_images)
    return num_images


def _run(settings: Settings, inputs: Mapping[str, Artifact], work: Workspace) -> AdaptationFacts:
    from edgetl.data.dataset import Dataset
    from edgetl.models import load_model, save_model
    from edgetl.nn.batch_statistics import replace_batch_statistics
    from edgetl.train.device import open_fabric
    from edgetl.train.training_artifacts import write_predictions

    spec, module = load_model(inputs["model"].folder)
    unlabelled = Dataset.open(inputs["unlabelled"].folder)
    num_images = _count(unlabelled)
    device = open_fabric(settings.device, mixed_precision=False).device
    batches = _batches(spec, unlabelled, device, settings.seed)
    num_norms = replace_batch_statistics(module.to(device), batches)
    if not num_norms:
        raise DataError(
            f"'{spec.family}' has no batch norms, so `method: {settings.options.method}` changes "
            "nothing",
            remedy=f"remove `adapt` from `{settings.model}.refine`",
        )
    module = module.cpu()
    save_model(work.out, spec, module)
    dataset = Dataset.open(inputs["dataset"].folder)
    scores = write_predictions(
        work.out, spec, module, dataset=dataset, evaluation=TASKS.load(spec.task).evaluation
    )
    return AdaptationFacts(
        model=settings.model,
        family=spec.family,
        method=settings.options.method,
        norms=num_norms,
        images=num_images,
        val=scores.get(Split.VAL),
        test=scores.get(Split.TEST),
    )


def _batches(
    spec: ModelSpec, dataset: Dataset, device: torch.device, seed: int
) -> Iterator[Tensor]:
    """Yield all images, normalised, in random order; each batch has two images or more.

    Neighbours by name often show the same, such as one class or one hour. Later norms see images
    normalised by their batch, so each batch should be like all images.
    """
    import numpy as np
    import torch
    from torch import nn

    from edgetl.nn.layers import RawPixels

    normalise = RawPixels(nn.Identity(), spec.mean, spec.std).to(device)
    images = dataset.images(Split.TRAIN)
    order = np.random.default_rng(seed).permutation(len(images))
    for rows in np.array_split(order, -(-len(images) // _BATCH)):
        pixels = torch.from_numpy(np.array(images[rows])).to(device).float()
        yield normalise(pixels)
        dataset.release()


def _summary(facts: AdaptationFacts) -> str:
    """Return for example ``34 batch norms adapted to 479 unlabelled images; top-1 0.912 ...``."""
    text = f"{facts.norms} batch norms adapted to {facts.images:,} unlabelled images"
    accuracy = accuracy_text(facts.test, facts.val)
    return f"{text}; on `data` {accuracy}" if accuracy else text


def _tools(settings: Settings) -> tuple[str, ...]:
    return (*TASKS.load(settings.task).evaluation_tools, "numpy", "torch", "torchvision")


def _plugins(settings: Settings, inputs: Mapping[str, Artifact]) -> dict[str, str]:
    del settings
    return family_of(inputs["model"])


STAGE = Stage(
    name="adapt",
    version=2,
    needs=("view",),
    makes=REFINED_KIND,
    options=AdaptTable,
    plan=no_nodes,
    refine=_refine,
    tools=_tools,
    facts=AdaptationFacts,
    run=_run,
    summary=_summary,
    check=_check,
    inspect=_inspect,
    foresee=_foresee,
    plugins=_plugins,
    cores=Cores.ALL,
)
