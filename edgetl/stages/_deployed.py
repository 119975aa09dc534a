"""Outputs and predictions of the torch model, as it was trained and as it is deployed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from edgetl.store.store import Artifact
from edgetl.tasks import TASKS
from edgetl.types import Split

if TYPE_CHECKING:  # planning must not wait for torch or numpy
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from edgetl.data.dataset import Dataset
    from edgetl.evaluation import Inputs, Predictions
    from edgetl.models import ModelSpec
    from edgetl.runtime.detections import NmsSettings


_WHITE = 255.0


def outputs_of(
    network: Callable[..., Tensor | tuple[Tensor, ...]],
    inputs: Inputs,
    names: tuple[str, ...],
) -> dict[str, NDArray[np.float32]]:
    """Return the outputs of `network`, computed one sample at a time, as on a device.

    Args:
        network: From raw inputs to the outputs of the model contract, such as
            `edgetl.models.deployable` returns.
        inputs: In the order of its arguments, each ``(N, ...)`` with N at least 1: images uint8,
            given as float32; tokens int32 or int64.
        names: Of its outputs, in their order.

    Returns:
        Arrays of shape ``(N, ...)`` by name.
    """
    import torch

    rows = []
    with torch.inference_mode():
        for sample in zip(*inputs.values(), strict=True):
            tensors = (torch.tensor(values[None]) for values in sample)
            output = network(
                *(each.float() if each.dtype is torch.uint8 else each for each in tensors)
            )
            rows.append((output,) if isinstance(output, torch.Tensor) else output)
    return {
        name: torch.cat([row[position] for row in rows]).numpy()
        for position, name in enumerate(names)
    }


def trained_outputs(
    spec: ModelSpec, module: nn.Module, inputs: Inputs, names: tuple[str, ...]
) -> dict[str, NDArray[np.float32]]:
    """Return the outputs of a model as trained: nothing folded, pixels normalised beforehand.

    This is the reference for the graph that `edgetl.models.deployable` rewrites.

    Args:
        spec: Of the model.
        module: As `edgetl.models.load_model` returns it.
        inputs: As `outputs_of` takes them.
        names: Of the outputs, in their order.

    Returns:
        Arrays of shape ``(N, ...)`` by name.
    """
    import torch

    from edgetl.models import FAMILIES, TokensFamily

    family = FAMILIES.load(spec.family)
    network = family.decoded(module.eval(), spec.input.size)
    if isinstance(family, TokensFamily):
        return outputs_of(network, inputs, names)
    mean, std = torch.tensor(spec.mean), torch.tensor(spec.std)

    def normalised(image: Tensor) -> Tensor | tuple[Tensor, ...]:
        outputs: Tensor | tuple[Tensor, ...] = network(
            ((image / _WHITE - mean) / std).permute(0, 3, 1, 2)
        )
        return outputs

    return outputs_of(normalised, inputs, names)


def predictions_of(
    trained: Artifact, dataset: Dataset, split: Split, nms: NmsSettings | None
) -> Predictions:
    """Return the predictions of a trained model for the images of a split, at least one.

    A training stores those of the default `nms`. With other settings, or if the stage that made
    the model stored none, the model runs again.
    """
    from edgetl.models import load_model
    from edgetl.train.training_artifacts import (
        PREDICTIONS_FILE,
        read_predictions,
        split_predictions,
    )

    evaluation = TASKS.load(dataset.task).evaluation
    usual = evaluation.nms(dataset)
    is_usual = (
        nms is None or usual is None or replace(nms, score_threshold=usual.score_threshold) == usual
    )
    if is_usual and PREDICTIONS_FILE in trained.manifest.files:
        return read_predictions(trained.folder, split)
    spec, module = load_model(trained.folder)
    return split_predictions(spec, module, dataset, split, evaluation=evaluation, nms=nms)
