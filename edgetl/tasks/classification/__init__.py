"""Classification: which class an image shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgetl.evaluation import Evaluation
    from edgetl.train.task_training import TaskTraining


class _Classification:
    version = 1
    limits = ("top1",)
    has_nms = False

    @property
    def training(self) -> TaskTraining:
        from edgetl.tasks.classification.training import TRAINING

        return TRAINING

    @property
    def evaluation(self) -> Evaluation:
        from edgetl.tasks.classification.evaluation import EVALUATION

        return EVALUATION


TASK = _Classification()
