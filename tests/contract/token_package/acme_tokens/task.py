"""Pairing: classification of two rows of token ids."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from edgetl.tasks import TASKS

if TYPE_CHECKING:
    from edgetl.data.dataset import Dataset
    from edgetl.data.task_data import TaskData
    from edgetl.evaluation import Evaluation, Inputs
    from edgetl.tasks import RecipeTemplate
    from edgetl.train.task_training import TaskTraining
    from edgetl.types import Split


class _PairingEvaluation:
    """That of classification, but for what a model is given."""

    images_per_chunk = 8

    def inputs(self, dataset: Dataset, split: Split, rows: slice) -> Inputs:
        from .tokens import tokens_of

        return tokens_of(dataset.images(split)[rows])

    def __getattr__(self, name: str) -> Any:
        return getattr(TASKS.load("classification").evaluation, name)


class _Pairing:
    version = 1
    limits: tuple[str, ...] = ("top1",)
    has_nms = False
    evaluation_tools: tuple[str, ...] = ("numpy",)

    @property
    def data(self) -> TaskData:
        return replace(TASKS.load("classification").data, task="pairing")

    @property
    def recipe(self) -> RecipeTemplate:
        return TASKS.load("classification").recipe

    @property
    def training(self) -> TaskTraining:
        return TASKS.load("classification").training

    @property
    def evaluation(self) -> Evaluation:
        return cast("Evaluation", _PairingEvaluation())


TASK = _Pairing()
