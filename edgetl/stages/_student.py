"""How the student is trained, as set by the recipe's distillation method and task."""

from __future__ import annotations

from typing import cast

from edgetl.config.method_keys import MethodKeys
from edgetl.config.recipe import StudentTable
from edgetl.data.levels import Level, num_views
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


def num_stored_views(job: Job) -> int | None:
    """Return of how many views of each training image the teacher's outputs are stored.

    None if there is no student, or if its training asks the teacher itself: it compares more than
    logits, or no view comes back.
    """
    student = job.recipe.student
    if student is None or not METHODS.load(student_table(job).method).follows_logits_alone:
        return None
    training = student_training(job, student)
    count = num_views(Level(training.augment), training.views)
    return None if count is None or count > training.epochs else count
