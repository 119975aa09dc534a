"""Training of classifiers: cross entropy, a linear head on cached features, teacher logits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from pydantic import Field

from edgetl.train.distillation import Signal, TeacherSignal
from edgetl.train.options import WEIGHT_DECAY, Training, TrainingTable, resolve
from edgetl.train.task_training import Start

if TYPE_CHECKING:  # planning must not wait for torch
    from torch import nn

    from edgetl.data.dataset import Dataset
    from edgetl.models import Family
    from edgetl.train.fit import Fitted
    from edgetl.train.interfaces import RunContext
    from edgetl.train.strategies import Phase

_RATES = {
    Start.RANDOM: {"adamw": 2e-3, "sgd": 0.05},
    Start.PRETRAINED: {"adamw": 2e-3, "sgd": 0.02},
    # Lower, because the head is already trained and large steps would damage the backbone first.
    Start.PROBED: {"adamw": 1e-3, "sgd": 0.01},
    Start.STUDENT: {"adamw": 1e-3, "sgd": 0.02},
}
_BATCH = 32
_PROBE_BATCH = 256
"""Rows of features per step; large, because a step costs almost nothing."""
_PROBE_EPOCHS = 60
_PROBE_LR = 1e-3


class ClassifierTable(TrainingTable):
    """The recipe keys for training classifiers."""

    label_smoothing: float = Field(default=0.1, ge=0.0, lt=1.0)
    """Label smoothing: share of every label that is spread over all classes."""
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced` gives every class the same weight, however many images it has."""


class ClassifierTraining(Training):
    """Everything that the training of a classifier depends on, apart from network, data, loss."""

    label_smoothing: float = 0.0
    class_weights: Literal["none", "balanced"] = "none"


class _ClassificationTraining:
    table: type[TrainingTable] = ClassifierTable
    strategy = "probe-then-full"
    method = "dkd"
    signals = frozenset({Signal.LOGITS})
    caches_features = True
    tools: tuple[str, ...] = ("numpy", "torch", "torchvision")

    def training(self, table: TrainingTable, *, start: Start, seed: int) -> ClassifierTraining:
        defaults = {
            "batch_size": _BATCH,
            "lr": _RATES[start][table.optimizer],
            "weight_decay": WEIGHT_DECAY[table.optimizer],
        }
        return resolve(ClassifierTraining, table, defaults, seed=seed)

    def head_training(
        self, table: TrainingTable, *, epochs: int | None, lr: float | None, seed: int
    ) -> ClassifierTraining:
        # Plain AdamW over large batches: the problem is convex, so nothing is averaged. The images
        # are only mirrored, which their cached features allow. The loss chooses the best epoch: it
        # changes smoothly, where the accuracy on a few dozen images jumps and chooses by chance.
        own = cast("ClassifierTable", table)
        return ClassifierTraining(
            epochs=_PROBE_EPOCHS if epochs is None else epochs,
            batch_size=_PROBE_BATCH,
            lr=_PROBE_LR if lr is None else lr,
            weight_decay=WEIGHT_DECAY["adamw"],
            warmup_epochs=0.0,
            ema=None,
            label_smoothing=own.label_smoothing,
            class_weights=own.class_weights,
            augment="none" if table.augment == "none" else "flip",
            mixed_precision=False,
            seed=seed,
            best_by="loss",
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
        from edgetl.tasks.classification.classifiers import setup, train_head
        from edgetl.train.fit import fit

        if phase.cached_features:
            if features is None:
                raise ValueError(f"phase '{phase.name}' needs cached features")
            return train_head(
                module, family, phase, dataset=dataset, features=features, run_context=run_context
            )
        classifier_setup = setup(dataset, family, phase, teacher_signal=teacher_signal)
        return fit(module, classifier_setup, training=phase.training, run_context=run_context)


TRAINING = _ClassificationTraining()
