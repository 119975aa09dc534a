"""Grading: how far along the order of the classes an image is, as one number.

Classes are grades: their order is that of their names, and the label of an image is its grade.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgetl.data.task_data import TaskData
    from edgetl.evaluation import Evaluation
    from edgetl.tasks import RecipeTemplate
    from edgetl.train.task_training import TaskTraining


class _Grading:
    version = 1
    limits: tuple[str, ...] = ()
    has_nms = False
    evaluation_tools: tuple[str, ...] = ("numpy",)

    @property
    def data(self) -> TaskData:
        from dataclasses import replace

        from edgetl.tasks.classification.data import DATA

        return replace(DATA, task="grading")

    @property
    def recipe(self) -> RecipeTemplate:
        from edgetl.tasks import RecipeTemplate

        return RecipeTemplate("teacher: {family: patch_grade}\n", lambda _: "random-128")

    @property
    def training(self) -> TaskTraining:
        from .training import TRAINING

        return TRAINING

    @property
    def evaluation(self) -> Evaluation:
        from .evaluation import EVALUATION

        return EVALUATION


TASK = _Grading()
