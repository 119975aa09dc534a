"""The contract of a task: what differs between classification, detection and others.

A task is a folder, named by the task, whose ``__init__`` holds its parts. Each part is a file that
is imported on first use, so that planning needs no framework. The half that runs on devices
is in `edgetl.runtime.tasks`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from edgetl.plugins import Slot

if TYPE_CHECKING:
    from edgetl.evaluation import Evaluation
    from edgetl.train.task_training import TaskTraining


class TaskPlugin(Protocol):
    """The parts of a task."""

    @property
    def version(self) -> int:
        """Raised whenever the same data, settings and outputs give another result than before."""

    @property
    def limits(self) -> tuple[str, ...]:
        """Names of the limits of accuracy that the task has, that of its metric first."""

    @property
    def has_nms(self) -> bool:
        """Whether predictions are subject to non-maximum suppression, which a recipe may set."""

    @property
    def training(self) -> TaskTraining:
        """How networks are trained; imports no framework before `TaskTraining.train`."""

    @property
    def evaluation(self) -> Evaluation:
        """Metrics; imports numpy."""


TASKS: Slot[TaskPlugin] = Slot("edgetl.tasks", "TASK", "task", "edgetl.tasks")
