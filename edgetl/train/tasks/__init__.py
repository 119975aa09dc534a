"""The contract of a task's training: what differs between tasks when a network is trained.

A plug-in is named by its task. Its file imports no framework at the top: the first half of the
contract answers plans and checks, the second half trains.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edgetl.plugins import Slot
from edgetl.train.options import DistillLoss, DistillTable, FinetuneTable, Training, TrainingTable

if TYPE_CHECKING:  # planning must not wait for torch
    from torch import nn

    from edgetl.data.dataset import Dataset
    from edgetl.models import Family, ModelSpec
    from edgetl.train.fit import Fitted
    from edgetl.train.interfaces import RunContext


@dataclass(frozen=True, slots=True)
class TeacherSignal:
    """A teacher, and how much its word counts."""

    spec: ModelSpec
    """Of the teacher."""
    module: nn.Module
    """In evaluation mode, on the device that trains."""
    loss: DistillLoss
    dataset: Dataset | None = None
    """The images as the teacher sees them; None if the student sees them alike."""
    outputs: Path | None = None
    """Folder with its outputs for all views of the training images; None if it computes them."""


class TrainingTask(Protocol):
    """How networks of one task are trained."""

    @property
    def caches_features(self) -> bool:
        """Whether the head alone is trained on cached features of the frozen rest."""

    @property
    def compares_maps(self) -> bool:
        """Whether students follow maps of their teacher: too large to keep, and of one input."""

    @property
    def tools(self) -> tuple[str, ...]:
        """Distributions whose version may change the result of a training."""

    def problems(self, table: TrainingTable) -> Iterator[tuple[str, str]]:
        """Yield the fields of `table` that this task cannot follow, each with why."""

    def probe(self, table: FinetuneTable, *, seed: int) -> Training | None:
        """Return how the head is trained alone; None where it is not."""

    def whole(self, table: FinetuneTable, *, seed: int, pretrained: bool) -> Training | None:
        """Return how the whole network is trained; None where it is not.

        Args:
            table: What the recipe says.
            seed: Of the recipe.
            pretrained: Whether the network starts from weights that learned something.
        """

    def student(self, table: DistillTable, *, seed: int, pretrained: bool) -> Training:
        """Return how a student is trained; arguments as for `whole`."""

    def distillation(self, table: DistillTable) -> DistillLoss:
        """Return the loss of `table`, without what its method does not read."""

    def train_probe(
        self,
        module: nn.Module,
        family: Family,
        training: Training,
        *,
        dataset: Dataset,
        features: Path | None,
        run_context: RunContext,
    ) -> Fitted:
        """Train the head of `module` in place; nothing else changes.

        Args:
            module: Of `family`.
            family: Knows what the head is.
            training: How.
            dataset: With training images, and validation images that choose the best epoch.
            features: Folder with what the rest sees of the images, for tasks that cache it.
            run_context: Where to train.
        """

    def train_whole(
        self,
        module: nn.Module,
        family: Family,
        training: Training,
        *,
        dataset: Dataset,
        run_context: RunContext,
        teacher_signal: TeacherSignal | None = None,
    ) -> Fitted:
        """Train all of `module` in place; batch normalisation too.

        Args:
            module: Of `family`.
            family: Knows what the module expects and where maps can be tapped.
            training: How.
            dataset: With training images, and validation images that choose the best epoch.
            run_context: Where to train.
            teacher_signal: What a teacher adds to the labels.
        """


TASKS: Slot[TrainingTask] = Slot("edgetl.train.tasks", "TASK", "task")


def unread(table: TrainingTable, names: tuple[str, ...], task: str) -> Iterator[tuple[str, str]]:
    """Yield those of `names` that the recipe sets although only `task` reads them."""
    for name in names:
        if getattr(table, name) is not None:
            yield name, f"is only read for `task: {task}`; leave it out"
