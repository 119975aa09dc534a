"""What the training loop is given: a course of samples, loss and exam, and where it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, Self, TypeVar

import torch
from torch import Tensor, nn


class Sample(Protocol):
    """One step's images with all that the loss reads; what is in it is the task's business."""

    @property
    def inputs(self) -> Tensor:
        """What the network takes; the first dimension is that of the batch."""

    def to(self, device: torch.device) -> Self:
        """Return the same with all tensors on `device`."""


SampleT = TypeVar("SampleT", bound=Sample)
OutputT = TypeVar("OutputT")
"""What the network says: logits, or `RawDetections`."""
Sample_co = TypeVar("Sample_co", bound=Sample, covariant=True)


class Batches(Protocol[Sample_co]):
    """The training samples, in a new order in each epoch."""

    def __len__(self) -> int:
        """Return the number of steps of an epoch, at least 1."""

    def epoch(self, number: int) -> Iterator[Sample_co]:
        """Yield the batches of epoch `number`; the same number gives the same batches."""


Loss = Callable[[OutputT, SampleT], Tensor]
"""From the network's answer and its batch, on one device, to a scalar that is to become small."""


@dataclass(frozen=True, slots=True)
class Validation:
    """How good a network is on images it is not trained with."""

    loss: float
    """Mean over the images; without what is there for training alone, such as smoothing."""
    value: float
    """The task's metric in [0, 1], more is better."""

    def selection_key(self, best_by: str) -> tuple[float, float]:
        """Return what is larger for a better network: `best_by` decides, the other breaks ties."""
        return (-self.loss, self.value) if best_by == "loss" else (self.value, -self.loss)


@dataclass(frozen=True, slots=True)
class Validator:
    """What tells how good a network is."""

    metric: str
    """Name of the value in files: `top1`."""
    title: str
    """Its name for people: `top-1`."""
    take: Callable[[nn.Module], Validation]
    """For a network in evaluation mode, on any device."""


@dataclass(frozen=True, slots=True)
class TrainingSetup(Generic[OutputT, SampleT]):
    """What a network is taught, and how that is examined."""

    batches: Batches[SampleT]
    loss: Loss[OutputT, SampleT]
    validator: Validator | None
    """None without validation images."""
    frozen: tuple[nn.Module, ...] = ()
    """Parts of the network that neither learn nor follow the statistics of the images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """Where a training runs and whom it tells; nothing of it is part of what was asked for."""

    device: str
    """`auto`, `cpu` or `cuda`."""
    step: Callable[[int, int, str], None]
    """Called after every step with steps done, steps in all, and the figures of now."""
    note: Callable[[str], None]
    checkpoint: Path | None = None
    """File that survives an interruption; None for trainings that are sooner done than saved."""
    events: Path | None = None
    """Folder for TensorBoard."""
