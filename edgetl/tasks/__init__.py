"""The contract of a task: what differs between classification, detection and others.

A task is a folder, named by the task, whose ``__init__`` holds its parts. Each part is a file that
is imported on first use, so that planning needs no framework. The half that runs on devices
is in `edgetl.runtime.tasks`. Recipes, datasets, models and contracts hold the name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from edgetl.plugins import Slot
from edgetl.types import LabelKind

if TYPE_CHECKING:
    from edgetl.data.task_data import TaskData
    from edgetl.evaluation import Evaluation
    from edgetl.train.task_training import TaskTraining


@dataclass(frozen=True, slots=True)
class RecipeTemplate:
    """The part of a new recipe about networks and their training."""

    body: str
    """YAML with comments: keys of `data` as comments, `input`, `teacher`, `student` and methods."""
    calibration: Callable[[int], str]
    """Returns the calibration recipe for about this many training images, at least one."""


class TaskPlugin(Protocol):
    """The parts of a task."""

    @property
    def version(self) -> int:
        """Raised whenever the same data, settings and outputs give a different result."""

    @property
    def limits(self) -> tuple[str, ...]:
        """Names of the task's accuracy limits, that of its metric first.

        All are in `edgetl.config.limits`; empty for a metric that is not there.
        """

    @property
    def has_nms(self) -> bool:
        """Whether predictions are subject to non-maximum suppression, which a recipe may set."""

    @property
    def data(self) -> TaskData:
        """The labels that it needs; imports no framework."""

    @property
    def recipe(self) -> RecipeTemplate:
        """The text that `edgetl init` writes into a recipe."""

    @property
    def training(self) -> TaskTraining:
        """How networks are trained; imports no framework before `TaskTraining.train`."""

    @property
    def evaluation(self) -> Evaluation:
        """Metrics; imports numpy."""

    @property
    def evaluation_tools(self) -> tuple[str, ...]:
        """Distributions whose version may change a figure of `evaluation`; imports nothing."""


TASKS: Slot[TaskPlugin] = Slot("edgetl.tasks", "TASK", "task", "edgetl.tasks")


def tasks_with(kind: LabelKind) -> list[str]:
    """Return the names of edgetl's own tasks whose labels are of `kind`."""
    return [name for name in TASKS.built_in() if TASKS.load(name).data.label_kind is kind]
