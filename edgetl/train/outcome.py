"""What a training leaves behind: the model, its logits, the figures of its epochs, and facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from edgetl.config.recipe import InputTable
from edgetl.data.dataset import Dataset
from edgetl.models import FAMILIES, ModelSpec, save_model
from edgetl.train.fit import Fitted
from edgetl.train.history import write_results
from edgetl.train.metrics import top1
from edgetl.train.options import NetworkSettings
from edgetl.train.photos import split_logits
from edgetl.train.weights import LoadReport
from edgetl.types import Facts, Split, Task

LOGITS_FILE = "logits.npz"


def write_outcome(
    folder: Path,
    module: nn.Module,
    *,
    network: NetworkSettings,
    dataset: Dataset,
    report: LoadReport,
    phases: Mapping[str, Fitted],
) -> Facts:
    """Write `model.json`, `model.safetensors`, `logits.npz` and `results.csv`; return the facts.

    Args:
        folder: Where to.
        module: The trained network, in evaluation mode.
        network: What it started from.
        dataset: Its validation and test photos are answered once more, by the network as saved.
        report: What became of the pretrained weights.
        phases: The parts of the training by name, in order.
    """
    family = FAMILIES.load(network.family)
    fields = asdict(dataset.preprocess)
    spec = ModelSpec(
        task=Task.CLASSIFICATION,
        family=network.family,
        width=network.width,
        classes=dataset.classes,
        mean=family.mean,
        std=family.std,
        input=InputTable(
            size=dataset.size, fit=fields["fit"], filter=fields["filter"], pad=fields["pad"]
        ),
    )
    save_model(folder, spec, module)
    logits = {
        split: split_logits(module, family, dataset, split) for split in (Split.VAL, Split.TEST)
    }
    _write_logits(folder / LOGITS_FILE, logits, dataset)
    write_results(folder, {name: fitted.rows for name, fitted in phases.items()})
    return {
        "family": network.family,
        "width": network.width,
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
        "weights": report.facts(),
        "phases": {
            name: {"epochs": len(fitted.rows), "best_epoch": fitted.best_epoch}
            for name, fitted in phases.items()
        },
        **{
            split.value: top1(found, dataset.labels(split)).facts() if len(found) else None
            for split, found in logits.items()
        },
    }


def read_logits(folder: Path, split: Split) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the logits `(N, K)` and labels `(N,)` that `write_outcome` left for a split."""
    with np.load(folder / LOGITS_FILE) as arrays:
        return arrays[f"{split.value}_logits"], arrays[f"{split.value}_labels"]


def _write_logits(
    path: Path, logits: Mapping[Split, NDArray[np.float32]], dataset: Dataset
) -> None:
    arrays: dict[str, NDArray[np.float32] | NDArray[np.int64]] = {}
    for split, found in logits.items():
        arrays[f"{split.value}_logits"] = found
        arrays[f"{split.value}_labels"] = dataset.labels(split)
    # numpy dates the members of the archive 1980, so equal arrays give equal bytes.
    np.savez(path, allow_pickle=False, **arrays)
