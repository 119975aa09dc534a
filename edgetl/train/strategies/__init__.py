"""The contract of a fine-tuning strategy: from options to the phases of a training.

A strategy is a file here. It imports no framework: phases are settings, made when a run is planned.
The stage runs them one after the other and does not branch on the strategy's name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field, SerializeAsAny

from edgetl.config.table import Table
from edgetl.plugins import Slot
from edgetl.train.options import Training, TrainingTable
from edgetl.train.task_training import Start, TaskTraining

if TYPE_CHECKING:
    from edgetl.models import Family


class Part(Table):
    """A part of the network that learns in a phase."""

    module: str
    """Name of a module of the network, such as the family's head; empty for all of it."""
    rate: float = Field(default=1.0, gt=0.0)
    """Factor of the phase's learning rate."""


EVERYTHING = Part(module="")


class Phase(Table):
    """One training of a strategy, which continues with the network of the previous phase."""

    name: str
    """Unique in its strategy; names the phase in results, facts and checkpoints."""
    learns: tuple[Part, ...] = Field(min_length=1)
    """The rest is frozen, including its normalisation statistics. Of nested parts the first
    counts."""
    training: SerializeAsAny[Training]
    """Length, rate, batches and augmentation."""
    cached_features: bool = False
    """Train on cached features of the frozen rest instead of images; only if the head alone
    learns."""
    revert_if_worse: bool = False
    """Drop the phase's weights if they validate worse than those of the previous phase."""

    @property
    def rates(self) -> dict[str, float]:
        """The factor for the learning rate by module."""
        return {part.module: part.rate for part in self.learns}

    def trains_only(self, module: str) -> bool:
        """Return whether nothing outside of `module` learns."""
        return all(name == module or name.startswith(f"{module}.") for name in self.rates)


@dataclass(frozen=True, slots=True)
class StrategyContext:
    """What a strategy knows about a training when it plans the phases."""

    table: TrainingTable
    """The keys that all strategies share."""
    task: TaskTraining
    family: Family
    pretrained: bool
    """Whether the network starts from weights that have learned something."""
    seed: int

    def training(self, start: Start) -> Training:
        """Return the settings to train more than the head, with the task's defaults for `start`.

        A network without pretrained weights starts at random, whatever `start` is.
        """
        known = start if self.pretrained else Start.RANDOM
        return self.task.training(self.table, start=known, seed=self.seed)

    def head_training(self, *, epochs: int | None, lr: float | None) -> Training:
        """Return the settings to train the head alone; None stands for the task's default."""
        return self.task.head_training(self.table, epochs=epochs, lr=lr, seed=self.seed)


@dataclass(frozen=True, slots=True)
class Strategy:
    """How a network is fine-tuned.

    Attributes:
        version: Raised when the same options give different phases than before.
        tasks: Names of the tasks that it supports; None for all.
        options: Its own keys of the recipe table, without those that all strategies share.
        phases: Turns the table, which has all keys, into phases in their order.
    """

    version: int
    tasks: tuple[str, ...] | None
    options: type[Table]
    phases: Callable[[Any, StrategyContext], tuple[Phase, ...]]


STRATEGIES: Slot[Strategy] = Slot(
    "edgetl.train.strategies", "STRATEGY", "strategy", "edgetl.strategies", hyphens=True
)
