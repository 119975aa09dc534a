"""Classification: the class of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgetl.data.task_data import TaskData
    from edgetl.evaluation import Evaluation
    from edgetl.tasks import RecipeTemplate
    from edgetl.train.task_training import TaskTraining


class _Classification:
    version = 1
    limits = ("top1", "class_recall", "class_precision")
    has_nms = False
    evaluation_tools: tuple[str, ...] = ("numpy",)

    @property
    def data(self) -> TaskData:
        from edgetl.tasks.classification.data import DATA

        return DATA

    @property
    def recipe(self) -> RecipeTemplate:
        from edgetl.tasks.classification.recipe import RECIPE

        return RECIPE

    @property
    def training(self) -> TaskTraining:
        from edgetl.tasks.classification.training import TRAINING

        return TRAINING

    @property
    def evaluation(self) -> Evaluation:
        from edgetl.tasks.classification.evaluation import EVALUATION

        return EVALUATION


TASK = _Classification()
