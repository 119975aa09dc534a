"""The inputs of the training loop: samples, an objective, a validator, and a run context."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Protocol, Self, TypeVar

import torch
from torch import Tensor, nn

LABELLED = "labelled"
"""The stream that every training has; its length is that of an epoch."""
EVERYTHING: Mapping[str, float] = {"": 1.0}
"""The whole network learns, at the rate of the training."""


class Sample(Protocol):
    """One step's images with everything that the loss reads; the task defines its content."""

    @property
    def inputs(self) -> Tensor:
        """Inputs of the network; the first dimension is that of the batch."""

    def to(self, device: torch.device) -> Self:
        """Return the same with all tensors on `device`."""


SampleT = TypeVar("SampleT", bound=Sample)
OutputT = TypeVar("OutputT")
"""What the network returns: logits, or `RawDetections`."""
Sample_co = TypeVar("Sample_co", bound=Sample, covariant=True)
Sample_contra = TypeVar("Sample_contra", bound=Sample, contravariant=True)


class Batches(Protocol[Sample_co]):
    """The training samples, in a new order in each epoch."""

    def __len__(self) -> int:
        """Return the number of steps of an epoch, at least 1."""

    def epoch(self, number: int) -> Iterator[Sample_co]:
        """Yield the batches of epoch `number`; the same number gives the same batches."""


class Objective(Protocol[Sample_contra]):
    """The function that a training minimises."""

    @property
    def modules(self) -> Sequence[nn.Module]:
        """Modules that are trained together with the network and dropped afterwards; often none."""

    def loss(self, network: nn.Module, samples: Mapping[str, Sample_contra]) -> Tensor:
        """Return the scalar to minimise in one step.

        Args:
            network: The network that is trained, in training mode.
            samples: One batch of each stream by its name, on the network's device.
        """


Loss = Callable[[OutputT, SampleT], Tensor]
"""From the network's outputs and their batch, on one device, to a scalar to minimise."""


@dataclass(frozen=True, slots=True)
class Supervised(Generic[OutputT, SampleT]):
    """The objective of a training on labels alone."""

    criterion: Loss[OutputT, SampleT]
    modules: tuple[nn.Module, ...] = ()

    def loss(self, network: nn.Module, samples: Mapping[str, SampleT]) -> Tensor:
        """Return the loss on the labelled samples."""
        batch = samples[LABELLED]
        return self.criterion(network(batch.inputs), batch)


@dataclass(frozen=True, slots=True)
class Validation:
    """The quality of a network on images that it is not trained on."""

    loss: float
    """Mean over the images; without terms for training only, such as label smoothing."""
    value: float
    """The task's metric in [0, 1]; higher is better."""

    def selection_key(self, best_by: str) -> tuple[float, float]:
        """Return a sort key, larger for a better network: first `best_by`, then the other."""
        return (-self.loss, self.value) if best_by == "loss" else (self.value, -self.loss)


@dataclass(frozen=True, slots=True)
class Validator:
    """Measures how good a network is."""

    metric: str
    """Name of the value in files: `top1`."""
    title: str
    """Its display name: `top-1`."""
    take: Callable[[nn.Module], Validation]
    """For a network in evaluation mode, on any device."""


@dataclass(frozen=True, slots=True)
class TrainingSetup(Generic[SampleT]):
    """The data a network is trained on, the parts that learn, and the validation."""

    streams: Mapping[str, Batches[SampleT]]
    """By name; `LABELLED` is one of them. Shorter ones start again within an epoch."""
    objective: Objective[SampleT]
    validator: Validator | None
    """None without validation images."""
    learns: Mapping[str, float] = field(default_factory=lambda: EVERYTHING)
    """Names of the modules that learn, each with a factor for the learning rate; of nested ones the
    first counts. The rest is frozen, including its normalisation statistics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """Where a training runs and how it reports; the result does not depend on it."""

    device: str
    """`auto`, `cpu` or `cuda`."""
    step: Callable[[int, int, str], None]
    """Called after every step with steps done, total steps, and the current figures."""
    note: Callable[[str], None]
    checkpoint: Path | None = None
    """File that survives an interruption; None for trainings too short to save."""
    events: Path | None = None
    """Folder for TensorBoard."""
