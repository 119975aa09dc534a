"""How the student is trained, as set by the recipe's distillation method and task."""

from __future__ import annotations

from typing import cast

from edgetl.config.method_keys import MethodKeys
from edgetl.config.recipe import StudentTable
from edgetl.stages import Job
from edgetl.tasks import TASKS
from edgetl.train.distillation import METHODS
from edgetl.train.options import NO_WEIGHTS, DistillTable, Training
from edgetl.train.task_training import Start

STUDENT = "student"
CONTROL = "control"
"""The student that is trained without a teacher."""

METHOD_KEYS = MethodKeys(
    key="method",
    noun=METHODS.noun,
    names=METHODS.names,
    load=METHODS.load,
    tasks=TASKS.names,
    task_table=lambda task: TASKS.load(task).training.table,
    default=lambda task: TASKS.load(task).training.method,
)


def student_table(job: Job) -> DistillTable:
    """Return the recipe's table for distillation, with the keys of its method."""
    return cast("DistillTable", job.tables["distill"])


def student_training(job: Job, student: StudentTable) -> Training:
    """Return how `student`, and its control, is trained."""
    start = Start.RANDOM if student.weights == NO_WEIGHTS else Start.STUDENT
    task = TASKS.load(job.recipe.task).training
    return task.training(student_table(job), start=start, seed=job.recipe.seed)
