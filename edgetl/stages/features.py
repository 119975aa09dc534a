"""Compute the features of every image once, for phases that train the head on them.

The test images are omitted: only the finished network predicts them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field

from edgetl.config.table import Table
from edgetl.facts.training import FeaturesFacts
from edgetl.models import FAMILIES
from edgetl.stages import Cores, Job, Node, NoOptions, Planned, Stage, Workspace
from edgetl.stages._phases import TEACHER, finetune_phases
from edgetl.stages._training import network_settings
from edgetl.stages._views import model_view
from edgetl.stages._weights import fetch_pretrained
from edgetl.store.store import Artifact
from edgetl.train.options import NetworkSettings
from edgetl.types import Split


class Settings(Table):
    """What the features depend on: neither the head nor the training."""

    network: NetworkSettings
    mirrored: bool
    """Also compute the features of the mirrored training images."""
    device: str = Field(exclude=True)


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    teacher = job.recipe.teacher
    if teacher is None:
        return []
    cached = [phase for phase in finetune_phases(job, teacher) if phase.cached_features]
    if not cached:
        return []
    settings = Settings(
        # Only the head starts at random, and no feature depends on it.
        network=network_settings(job, teacher, seed=0),
        mirrored=any(phase.training.augment != "none" for phase in cached),
        device=job.recipe.device,
    )
    return [Node("features", "features", settings, {"dataset": model_view(job, made, TEACHER)})]


def _prepare(settings: Settings) -> None:
    fetch_pretrained(settings.network)


def _run(settings: Settings, inputs: Mapping[str, Artifact], work: Workspace) -> FeaturesFacts:
    import torch

    from edgetl.data.dataset import Dataset
    from edgetl.models import as_classifier
    from edgetl.train.device import open_fabric
    from edgetl.train.features import write_features
    from edgetl.train.weights import build_network

    dataset = Dataset.open(inputs["dataset"].folder)
    family, module, report = build_network(settings.network, len(dataset.classes))
    work.progress.note(f"{settings.network.family}: {report.sentence()}")
    device = open_fabric(settings.device, mixed_precision=False).device
    module = module.eval().to(device).to(memory_format=torch.channels_last)
    views = {Split.TRAIN: (False, True) if settings.mirrored else (False,), Split.VAL: (False,)}
    images = {split: len(dataset.labels(split)) for split in views}
    total = sum(len(views[split]) * images[split] for split in views)
    done = 0

    def report_batch(count: int) -> None:
        nonlocal done
        done += count
        work.progress.step(done, total, "images through the backbone")

    for split, shown in views.items():
        write_features(
            work.out,
            split,
            module=module,
            family=as_classifier(family),
            dataset=dataset,
            views=shown,
            on_batch=report_batch,
        )
    return FeaturesFacts(images=images, mirrored=settings.mirrored, weights=report.facts())


def _summary(facts: FeaturesFacts) -> str:
    views = ", mirrored too" if facts.mirrored else ""
    return f"{sum(facts.images.values()):,} images through the frozen backbone{views}"


def _tools(settings: Settings) -> tuple[str, ...]:
    del settings
    return ("torch", "torchvision")


def _plugins(settings: Settings, inputs: Mapping[str, Artifact]) -> dict[str, str]:
    del inputs
    return FAMILIES.stamp(settings.network.family)


STAGE = Stage(
    name="features",
    version=2,
    needs=("view",),
    makes="features",
    options=NoOptions,
    plan=_plan,
    tools=_tools,
    facts=FeaturesFacts,
    run=_run,
    summary=_summary,
    prepare=_prepare,
    plugins=_plugins,
    cores=Cores.ALL,
)
