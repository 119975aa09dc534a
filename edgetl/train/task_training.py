"""The contract of a task's training: what differs between tasks when a network is trained.

An implementation imports no framework at the top, because plans and checks use the first half of
the contract; the second half trains.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edgetl.train.distillation import Signal, TeacherSignal
from edgetl.train.options import Training, TrainingTable

if TYPE_CHECKING:  # planning must not wait for torch
    from torch import nn

    from edgetl.data.dataset import Dataset
    from edgetl.models import Family
    from edgetl.train.fit import Fitted
    from edgetl.train.interfaces import RunContext
    from edgetl.train.strategies import Phase


class Start(StrEnum):
    """What a network has learned before a training, on which the learning rate depends."""

    RANDOM = "random"
    """Nothing."""
    PRETRAINED = "pretrained"
    """Everything but the head."""
    PROBED = "probed"
    """Everything; the head was trained on top of the frozen rest."""
    STUDENT = "student"
    """Like `PRETRAINED`, for a small network that is trained with a teacher."""


class TaskTraining(Protocol):
    """How networks of one task are trained."""

    @property
    def table(self) -> type[TrainingTable]:
        """The keys that the task adds to every recipe table of a training."""

    @property
    def strategy(self) -> str:
        """Name of the default fine-tuning strategy."""

    @property
    def method(self) -> str:
        """Name of the default distillation method."""

    @property
    def signals(self) -> frozenset[Signal]:
        """The signals that a distillation method may compare."""

    @property
    def caches_features(self) -> bool:
        """Whether the head alone is trained on cached features of the frozen rest."""

    @property
    def tools(self) -> tuple[str, ...]:
        """Distributions whose version may change the result of a training."""

    def training(self, table: TrainingTable, *, start: Start, seed: int) -> Training:
        """Return the settings to train more than the head, with every default resolved.

        Args:
            table: From the recipe; has the keys of `table`.
            start: What the network has learned before.
            seed: Of the recipe.
        """

    def head_training(
        self, table: TrainingTable, *, epochs: int | None, lr: float | None, seed: int
    ) -> Training:
        """Return the settings to train the head alone, with every default resolved.

        Args:
            table: From the recipe; has the keys of `table`.
            epochs: None for the task's default.
            lr: None for the task's default.
            seed: Of the recipe.
        """

    def train(
        self,
        module: nn.Module,
        family: Family,
        phase: Phase,
        *,
        dataset: Dataset,
        run_context: RunContext,
        features: Path | None = None,
        teacher_signal: TeacherSignal | None = None,
    ) -> Fitted:
        """Train the parts of `module` that learn in `phase`, in place.

        Args:
            module: Of `family`.
            family: Defines the normalisation, the head and the feature layers.
            phase: The parts that learn, and the training's settings.
            dataset: With training images, and validation images that select the best epoch.
            run_context: Where and how to run.
            features: Folder with the cached features, for phases that train on them.
            teacher_signal: A teacher in addition to the labels; not for phases on cached features.

        Returns:
            The history; the module in it may be the head alone.
        """
