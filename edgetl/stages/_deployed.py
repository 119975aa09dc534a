"""The torch model as it is deployed: raw pixels in, answers out by the rule of the contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgetl.evaluation import EVALUATIONS
from edgetl.store.store import Artifact
from edgetl.types import Split

if TYPE_CHECKING:  # planning must not wait for torch, nor for numpy
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from edgetl.data.dataset import Dataset
    from edgetl.evaluation import Predictions
    from edgetl.runtime.detections import NmsSettings


def outputs_of(
    network: nn.Module, inputs: Mapping[str, NDArray[Any]], names: tuple[str, ...]
) -> dict[str, NDArray[np.float32]]:
    """Return the outputs of `network` for one sample at a time, as on a device.

    Args:
        network: As `edgetl.models.deployable` returns it.
        inputs: In the order of its arguments, each ``(N, ...)`` with N at least 1: images uint8,
            tokens int32 or int64.
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


def predictions_of(
    trained: Artifact, dataset: Dataset, split: Split, nms: NmsSettings | None
) -> Predictions:
    """Return what a trained model answers to the images of a split, at least one, by `nms`.

    A training keeps the answers by the usual rule. Another one makes others of the same outputs,
    so the model is asked again.
    """
    from edgetl.models import load_model
    from edgetl.train.training_artifacts import read_predictions, split_predictions

    usual = EVALUATIONS.load(dataset.task.value).nms(dataset)
    if nms is None or usual is None or replace(nms, score_threshold=usual.score_threshold) == usual:
        return read_predictions(trained.folder, split)
    spec, module = load_model(trained.folder)
    return split_predictions(spec, module, dataset, split, nms)
