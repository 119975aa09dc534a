"""Detection: where on an image which objects are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgetl.evaluation import Evaluation
    from edgetl.train.task_training import TaskTraining


class _Detection:
    version = 1
    limits = ("map", "map50")
    has_nms = True

    @property
    def training(self) -> TaskTraining:
        from edgetl.tasks.detection.training import TRAINING

        return TRAINING

    @property
    def evaluation(self) -> Evaluation:
        from edgetl.tasks.detection.evaluation import EVALUATION

        return EVALUATION


TASK = _Detection()
