"""The torch model as it is deployed: raw pixels in, answers out by the rule of the contract."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgetl.evaluation import EVALUATIONS
from edgetl.store.store import Artifact
from edgetl.types import Split

if TYPE_CHECKING:  # planning must not wait for torch, nor for numpy
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from edgetl.data.dataset import Dataset
    from edgetl.evaluation import Answers
    from edgetl.runtime.detections import Suppression


def outputs_of(
    network: nn.Module, pixels: NDArray[np.uint8], names: tuple[str, ...]
) -> dict[str, NDArray[np.float32]]:
    """Return what `network` answers, one photo at a time, as a device would ask.

    Args:
        network: As `edgetl.models.deployable` returns it.
        pixels: Shape ``(N, H, W, 3)``, N at least 1.
        names: Of its outputs, in their order.

    Returns:
        Arrays of shape ``(N, ...)`` by name.
    """
    import torch

    rows = []
    with torch.inference_mode():
        for image in pixels:
            answer = network(torch.from_numpy(image[None].astype("float32")))
            rows.append((answer,) if isinstance(answer, torch.Tensor) else answer)
    return {
        name: torch.cat([row[position] for row in rows]).numpy()
        for position, name in enumerate(names)
    }


def answers_of(
    trained: Artifact, dataset: Dataset, split: Split, rule: Suppression | None
) -> Answers:
    """Return what a trained model answers to the photos of a split, at least one, by `rule`.

    A training keeps the answers by the usual rule. Another one makes others of the same outputs,
    so the model is asked again.
    """
    from edgetl.models import load_model
    from edgetl.train.outcome import read_answers, split_answers

    usual = EVALUATIONS.load(dataset.task.value).rule(dataset)
    if rule is None or usual is None or replace(rule, score=usual.score) == usual:
        return read_answers(trained.folder, split)
    spec, module = load_model(trained.folder)
    return split_answers(spec, module, dataset, split, rule)
