"""Training of classifiers: cross entropy, a linear head on cached features, softened classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edgetl.train.options import (
    WEIGHT_DECAY,
    DistillLoss,
    DistillTable,
    FinetuneTable,
    Training,
    TrainingTable,
    filled_in,
    resolve,
)
from edgetl.train.tasks import TeacherSignal, unread

if TYPE_CHECKING:  # planning must not wait for torch
    from torch import nn

    from edgetl.data.dataset import Dataset
    from edgetl.models import Family
    from edgetl.train.fit import Fitted
    from edgetl.train.interfaces import RunContext

_FROM_SCRATCH = {"adamw": 2e-3, "sgd": 0.05}
_TEACHER = {"adamw": 2e-3, "sgd": 0.02}
_AFTER_PROBE = {"adamw": 1e-3, "sgd": 0.01}
"""Lower, as the head is already right and large steps would undo the backbone first."""
_STUDENT = {"adamw": 1e-3, "sgd": 0.02}

_METHODS = ("dkd", "soft-targets")
_OF_DETECTION = ("mosaic", "mixup", "no_aug_epochs", "multi_scale")
_TREATMENT = {"label_smoothing": 0.1, "class_weights": "none"}
_BATCH = 32
_PROBE_BATCH = 256
"""Rows of features per step; large, as a step costs next to nothing."""


class _Classification:
    caches_features = True
    compares_maps = False
    tools: tuple[str, ...] = ("numpy", "torch", "torchvision")

    def problems(self, table: TrainingTable) -> Iterator[tuple[str, str]]:
        yield from unread(table, _OF_DETECTION, "detection")
        if isinstance(table, DistillTable):
            for name in ("box_weight", "feature_weight"):
                if name in table.model_fields_set:
                    yield name, "is only read for `task: detection`; leave it out"
            if table.method not in (None, *_METHODS):
                wrong = (
                    f"is '{table.method}', which imitates maps of a detector; for "
                    f"`task: classification` it must be one of: {', '.join(_METHODS)}"
                )
                yield "method", wrong

    def probe(self, table: FinetuneTable, *, seed: int) -> Training | None:
        # Plain AdamW over large batches: the problem is convex, so nothing is averaged. The images
        # are only mirrored, which their cached features allow. The loss chooses the best epoch: it
        # changes smoothly, where the accuracy on a few dozen images jumps and chooses by chance.
        if table.strategy == "full":
            return None
        own = filled_in(table, {"probe_epochs": 60, "probe_lr": 1e-3})
        return Training.model_validate(
            {
                "epochs": own["probe_epochs"],
                "batch_size": _PROBE_BATCH,
                "lr": own["probe_lr"],
                "weight_decay": WEIGHT_DECAY["adamw"],
                "warmup_epochs": 0.0,
                "ema": None,
                **filled_in(table, _TREATMENT),
                "augment": "none" if table.augment == "none" else "flip",
                "mixed_precision": False,
                "seed": seed,
                "best_by": "loss",
            }
        )

    def whole(self, table: FinetuneTable, *, seed: int, pretrained: bool) -> Training | None:
        if table.strategy == "linear-probe":
            return None
        if not pretrained:
            rates = _FROM_SCRATCH
        else:
            rates = _TEACHER if table.strategy == "full" else _AFTER_PROBE
        return _resolved(table, rates, seed)

    def student(self, table: DistillTable, *, seed: int, pretrained: bool) -> Training:
        return _resolved(table, _STUDENT if pretrained else _FROM_SCRATCH, seed)

    def distillation(self, table: DistillTable) -> DistillLoss:
        shared = {"label_weight": table.label_weight, **filled_in(table, {"temperature": 4.0})}
        if table.method == "soft-targets":
            own: dict[str, object] = {"method": "soft-targets", "soft_weight": table.soft_weight}
        else:
            own = {"method": "dkd", "alpha": table.alpha, "beta": table.beta}
        return DistillLoss.model_validate({**shared, **own})

    def train_probe(
        self,
        module: nn.Module,
        family: Family,
        training: Training,
        *,
        dataset: Dataset,
        features: Path | None,
        run_context: RunContext,
    ) -> Fitted:
        from edgetl.train.classifiers import train_head

        if features is None:
            raise ValueError("the probe of a classifier needs cached features")
        return train_head(
            module, family, training, dataset=dataset, features=features, run_context=run_context
        )

    def train_whole(
        self,
        module: nn.Module,
        family: Family,
        training: Training,
        *,
        dataset: Dataset,
        run_context: RunContext,
        teacher_signal: TeacherSignal | None = None,
    ) -> Fitted:
        from edgetl.train.classifiers import setup
        from edgetl.train.fit import fit

        teacher_outputs = setup(dataset, family, training, teacher_signal=teacher_signal)
        return fit(module, teacher_outputs, training=training, run_context=run_context)


def _resolved(table: TrainingTable, rates: Mapping[str, float], seed: int) -> Training:
    defaults = {
        "batch_size": _BATCH,
        "lr": rates[table.optimizer],
        "weight_decay": WEIGHT_DECAY[table.optimizer],
        "clip_norm": None,
        **_TREATMENT,
    }
    return resolve(table, defaults, seed=seed)


TASK = _Classification()
