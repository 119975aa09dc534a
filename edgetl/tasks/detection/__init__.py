"""Detection: boxes and classes of the objects on an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgetl.data.task_data import TaskData
    from edgetl.evaluation import Evaluation
    from edgetl.tasks import RecipeTemplate
    from edgetl.train.task_training import TaskTraining


class _Detection:
    version = 1
    limits = ("map", "map50", "class_recall", "class_precision")
    has_nms = True
    evaluation_tools: tuple[str, ...] = ("numpy", "pycocotools")

    @property
    def data(self) -> TaskData:
        from edgetl.tasks.detection.data import DATA

        return DATA

    @property
    def recipe(self) -> RecipeTemplate:
        from edgetl.tasks.detection.recipe import RECIPE

        return RECIPE

    @property
    def training(self) -> TaskTraining:
        from edgetl.tasks.detection.training import TRAINING

        return TRAINING

    @property
    def evaluation(self) -> Evaluation:
        from edgetl.tasks.detection.evaluation import EVALUATION

        return EVALUATION


TASK = _Detection()
