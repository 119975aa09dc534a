"""Claim: a probe epoch on cached features is 50 times faster than one through the backbone.

Both train the same last layer on the same images: one reads features that were computed once, the
other runs every image through the frozen backbone in every epoch. The cost of computing the
features once, and of a whole fine-tuning epoch, stand beside.

    python benchmarks/probe_epochs.py [--images 1200]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from edgetl.api.console import Console
from edgetl.data.dataset import Dataset
from edgetl.data.loaders import eval_batches
from edgetl.models import FAMILIES, as_classifier
from edgetl.nn.layers import RawPixels
from edgetl.pipeline.execute import Finder, run_nodes
from edgetl.pipeline.job import load_job
from edgetl.pipeline.planner import all_stages, plan_round
from edgetl.store.store import Store
from edgetl.tasks import TASKS
from edgetl.train.features import write_features
from edgetl.train.interfaces import RunContext
from edgetl.train.strategies import EVERYTHING, Part, Phase
from edgetl.train.task_training import Start
from edgetl.types import Split

_PROBE_EPOCHS = 40
_LIMIT = 50.0


def main() -> None:
    """Time all four in one run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1200)
    images = parser.parse_args().images
    with tempfile.TemporaryDirectory() as folder:
        dataset = _dataset(Path(folder), images)
        seconds = _seconds(dataset, Path(folder))
    probe = seconds["probe epoch, cached features"]
    count = len(dataset.labels(Split.TRAIN))
    print(f"mobilenet_v2, {count} training images of 96 px, {torch.get_num_threads()} threads")
    print(f"{'what':<38} {'s':>9} {'times a cached epoch':>21}")
    for name, value in seconds.items():
        print(f"{name:<38} {value:>9.4f} {value / probe:>21.1f}")
    ratio = seconds["probe epoch, through the backbone"] / probe
    print(f"limit {_LIMIT:.0f}: {'holds' if ratio >= _LIMIT else 'MISSED'}")


def _dataset(folder: Path, images: int) -> Dataset:
    store, stages = Store(folder), all_stages()
    job = load_job("parts", [f"data.synthetic.images={images}"], store, stages)
    plan = plan_round(job, stages, Finder(store, stages).find)
    nodes = [node for node in plan.nodes if node.stage in {"index", "view"}]
    artifacts = run_nodes(nodes, store, stages, Console(quiet=True))
    return Dataset.open(artifacts[nodes[-1]].folder)


def _seconds(dataset: Dataset, folder: Path) -> dict[str, float]:
    family = FAMILIES.load("mobilenet_v2")
    module = family.build(width=1.0, num_classes=len(dataset.classes), seed=0).eval()
    run_context = RunContext(device="cpu", step=lambda *_: None, note=lambda _: None)
    seconds: dict[str, float] = {}

    started = time.perf_counter()
    for split in (Split.TRAIN, Split.VAL):
        write_features(
            folder,
            split,
            module=module,
            family=as_classifier(family),
            dataset=dataset,
            views=(False,),
            on_batch=lambda _: None,
        )
    computed = time.perf_counter() - started

    task = TASKS.load(dataset.task).training
    table = task.table(epochs=1, augment="none", warmup_epochs=0.0)
    probe = Phase(
        name="probe",
        learns=(Part(module=family.head),),
        training=task.head_training(table, epochs=_PROBE_EPOCHS, lr=None, seed=0),
        cached_features=True,
    )
    started = time.perf_counter()
    task.train(module, family, probe, dataset=dataset, features=folder, run_context=run_context)
    seconds["probe epoch, cached features"] = (time.perf_counter() - started) / _PROBE_EPOCHS

    started = time.perf_counter()
    _epoch_through_backbone(module, dataset)
    seconds["probe epoch, through the backbone"] = time.perf_counter() - started

    started = time.perf_counter()
    full = Phase(
        name="full",
        learns=(EVERYTHING,),
        training=task.training(table, start=Start.PRETRAINED, seed=0),
    )
    task.train(module, family, full, dataset=dataset, run_context=run_context)
    seconds["epoch of the whole network"] = time.perf_counter() - started
    seconds["features, computed once"] = computed
    return seconds


def _epoch_through_backbone(module: nn.Module, dataset: Dataset) -> None:
    family = as_classifier(FAMILIES.load("mobilenet_v2"))
    head = cast("nn.Linear", module.get_submodule(family.head))
    optimizer = torch.optim.AdamW(head.parameters())
    normalise = RawPixels(nn.Identity(), mean=family.mean, std=family.std)
    for batch in eval_batches(dataset, Split.TRAIN, batch_size=64):
        with torch.no_grad():
            pixels = normalise(batch.images.permute(0, 2, 3, 1).float())
            features = family.features(module, pixels)
        optimizer.zero_grad()
        functional.cross_entropy(head(features), batch.labels).backward()
        optimizer.step()


if __name__ == "__main__":
    main()
