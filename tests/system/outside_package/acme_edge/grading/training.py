"""Training of networks that grade: the distance from the label, large ones linearly."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from pydantic import Field

from edgetl.train.distillation import Signal, TeacherSignal
from edgetl.train.options import WEIGHT_DECAY, Training, TrainingTable, resolve
from edgetl.train.task_training import Start

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edgetl.data.dataset import Dataset
    from edgetl.models import Family
    from edgetl.train.fit import Fitted
    from edgetl.train.image_batches import LabelledBatch
    from edgetl.train.interfaces import RunContext, Validation
    from edgetl.train.strategies import Phase


class GradingTable(TrainingTable):
    beta: float = Field(default=1.0, gt=0.0)
    """Distance in grades from which on a loss grows linearly."""


class GradingTraining(Training):
    beta: float = 1.0


class _GradingTraining:
    table: type[TrainingTable] = GradingTable
    strategy = "full"
    method = "logit-distance"
    signals: frozenset[Signal] = frozenset()
    caches_features = False
    tools: tuple[str, ...] = ("numpy", "torch")

    def training(self, table: TrainingTable, *, start: Start, seed: int) -> GradingTraining:
        del start
        defaults = {
            "batch_size": 8,
            "lr": 0.05,
            "weight_decay": WEIGHT_DECAY[table.optimizer],
        }
        return resolve(GradingTraining, table, defaults, seed=seed)

    def head_training(
        self, table: TrainingTable, *, epochs: int | None, lr: float | None, seed: int
    ) -> GradingTraining:
        training = self.training(table, start=Start.PRETRAINED, seed=seed)
        given = {"epochs": epochs, "lr": lr}
        return training.model_copy(
            update={name: value for name, value in given.items() if value is not None}
        )

    def train(
        self,
        module: nn.Module,
        family: Family,
        phase: Phase,
        *,
        dataset: Dataset,
        run_context: RunContext,
        features: Path | None = None,
        teacher_signal: TeacherSignal | None = None,
    ) -> Fitted:
        import numpy as np
        import torch
        from torch.nn.functional import smooth_l1_loss

        from edgetl.train.fit import fit
        from edgetl.train.image_batches import image_batches, predictions, raw_pixels
        from edgetl.train.interfaces import (
            LABELLED,
            Supervised,
            TrainingSetup,
            Validation,
            Validator,
        )
        from edgetl.types import Split

        from .evaluation import EVALUATION

        if features is not None or teacher_signal is not None:
            raise ValueError("networks that grade have neither cached features nor a teacher")
        training = cast("GradingTraining", phase.training)

        def distance(grades: Tensor, labels: Tensor) -> Tensor:
            return smooth_l1_loss(grades[:, 0], labels.float(), beta=training.beta)

        def loss(grades: Tensor, batch: LabelledBatch) -> Tensor:
            return distance(grades, batch.labels)

        def validation(network: nn.Module) -> Validation:
            device = next(network.parameters()).device
            whole = raw_pixels(network, family).to(device)
            grades = np.concatenate(list(predictions(whole, dataset, Split.VAL, device=device)))
            labels = torch.from_numpy(dataset.labels(Split.VAL))
            value = EVALUATION.value({"grades": grades[:, 0]}, dataset, Split.VAL)
            return Validation(distance(torch.from_numpy(grades), labels).item(), value)

        setup = TrainingSetup(
            {LABELLED: image_batches(dataset, training, family)},
            Supervised(loss),
            Validator(EVALUATION.metric, EVALUATION.title, validation),
            phase.rates,
        )
        return fit(module, setup, training=training, run_context=run_context)


TRAINING = _GradingTraining()
