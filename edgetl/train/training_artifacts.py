"""The artifacts of a training: the model, its predictions, figures of its epochs, and facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from edgetl.config.recipe import InputTable
from edgetl.data.dataset import Dataset
from edgetl.facts.scores import Score
from edgetl.facts.training import PhaseFacts, TrainingFacts
from edgetl.models import ModelSpec, deployable, save_model
from edgetl.train.fit import Fitted
from edgetl.train.history import write_results
from edgetl.train.options import NetworkSettings
from edgetl.train.weights import LoadReport
from edgetl.types import Split

if TYPE_CHECKING:
    from edgetl.evaluation import Evaluation, Predictions
    from edgetl.runtime.detections import NmsSettings

PREDICTIONS_FILE = "predictions.npz"


def spec_of(network: NetworkSettings, dataset: Dataset) -> ModelSpec:
    """Return the specification to rebuild a network for `dataset` and to prepare its inputs."""
    fields = asdict(dataset.preprocess)
    return ModelSpec.of(
        network.family,
        width=network.width,
        classes=dataset.classes,
        image_input=InputTable(
            size=dataset.size, **{name: fields[name] for name in ("fit", "filter", "pad", "anchor")}
        ),
    )


def write_training_artifacts(  # noqa: PLR0913 - one keyword for each part of the files
    folder: Path,
    module: nn.Module,
    *,
    network: NetworkSettings,
    dataset: Dataset,
    evaluation: Evaluation,
    report: LoadReport,
    phases: Mapping[str, Fitted],
    model: str,
) -> TrainingFacts:
    """Write model, `predictions.npz` and `results.csv` into `folder`; return the facts.

    Args:
        folder: The folder to write to.
        module: The trained network, in evaluation mode.
        network: The settings that it was built from.
        dataset: The network as deployed predicts its validation and test images.
        evaluation: Of the network's task.
        report: Which pretrained weights were loaded.
        phases: The parts of the training by name, in order.
        model: Name of the network in the recipe.
    """
    spec = spec_of(network, dataset)
    save_model(folder, spec, module)
    scores = write_predictions(folder, spec, module, dataset=dataset, evaluation=evaluation)
    rows = {name: fitted.rows for name, fitted in phases.items()}
    write_results(folder, rows, metric=evaluation.metric)
    return TrainingFacts(
        model=model,
        family=network.family,
        width=network.width,
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        weights=report.facts(),
        phases={
            name: PhaseFacts(epochs=len(fitted.rows), best_epoch=fitted.best_epoch)
            for name, fitted in phases.items()
        },
        val=scores.get(Split.VAL),
        test=scores.get(Split.TEST),
    )


def write_predictions(
    folder: Path,
    spec: ModelSpec,
    module: nn.Module,
    *,
    dataset: Dataset,
    evaluation: Evaluation,
) -> dict[Split, Score]:
    """Write `predictions.npz` for the validation and test images into `folder`.

    Args:
        folder: The folder to write to.
        spec: Of the network.
        module: The network, in evaluation mode.
        dataset: Its validation and test images are predicted by the network as deployed.
        evaluation: Of the network's task.

    Returns:
        The score of each of these splits that has images.
    """
    predictions = {
        split: split_predictions(spec, module, dataset, split, evaluation=evaluation)
        for split in (Split.VAL, Split.TEST)
        if len(dataset.items(split))
    }
    _save_predictions(folder / PREDICTIONS_FILE, predictions)
    return {
        split: evaluation.score(values, dataset, split) for split, values in predictions.items()
    }


def split_predictions(
    spec: ModelSpec,
    module: nn.Module,
    dataset: Dataset,
    split: Split,
    *,
    evaluation: Evaluation,
    nms: NmsSettings | None = None,
) -> Predictions:
    """Return the predictions of a network, as deployed, for the images of a split.

    Args:
        spec: Of the network.
        module: The network.
        dataset: The source of the images.
        split: Of `dataset`; has at least one image.
        evaluation: Of the network's task.
        nms: Settings of non-maximum suppression; None for the default of the task.
    """
    nms = nms or evaluation.nms(dataset)
    device = next(module.parameters()).device
    network = deployable(spec, module).to(device)
    chunk = evaluation.images_per_chunk
    parts = []
    for start in range(0, len(dataset.items(split)), chunk):
        inputs = evaluation.inputs(dataset, split, slice(start, start + chunk))
        tensors = (torch.from_numpy(values.copy()).to(device) for values in inputs.values())
        with torch.inference_mode():
            outputs = network(
                *(each.float() if each.dtype is torch.uint8 else each for each in tensors)
            )
        listed = (outputs,) if isinstance(outputs, torch.Tensor) else outputs
        named = {
            name: output.float().cpu().numpy()
            for name, output in zip(evaluation.outputs, listed, strict=True)
        }
        parts.append(evaluation.collect(named, dataset, split, start, nms))
        dataset.release()
    return evaluation.join(parts)


def read_predictions(folder: Path, split: Split) -> Predictions:
    """Return the predictions that `write_training_artifacts` wrote for a split.

    Raises:
        KeyError: If the dataset has no images in that split.
    """
    prefix = f"{split.value}_"
    with np.load(folder / PREDICTIONS_FILE) as arrays:
        predictions = {
            name.removeprefix(prefix): arrays[name] for name in arrays if name.startswith(prefix)
        }
    if not predictions:
        raise KeyError(f"{PREDICTIONS_FILE} has no predictions for {split.value}")
    return predictions


def _save_predictions(path: Path, by_split: Mapping[Split, Predictions]) -> None:
    # numpy dates the members of the archive 1980, so equal arrays give equal bytes.
    arrays = {
        f"{split.value}_{name}": values
        for split, predictions in by_split.items()
        for name, values in predictions.items()
    }
    np.savez(path, allow_pickle=False, **arrays)
