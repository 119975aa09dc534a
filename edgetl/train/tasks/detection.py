"""Training of detectors: labelled boxes, a head on a frozen rest, soft answers and neck maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edgetl.models import as_detector
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

_FROM_SCRATCH = {"adamw": 0.01, "sgd": 0.01}
_PRETRAINED = {"adamw": 1e-3, "sgd": 0.005}

_METHODS = ("pkd", "cwd")
_OF_CLASSIFICATION = ("label_smoothing", "class_weights")
_BATCH = 8
_NO_AUG_SHARE = 5
"""The last one of so many epochs close the training."""
_MOSAIC = 0.5
_CLIP_NORM = 10.0
"""Above what a training that runs well has: the first steps of a new network have gradients of some
thousands, after which the averages of `adamw` stand still for an epoch."""


class _Detection:
    caches_features = False
    compares_maps = True
    tools: tuple[str, ...] = ("numpy", "pillow", "pycocotools", "torch", "torchvision")

    def problems(self, table: TrainingTable) -> Iterator[tuple[str, str]]:
        yield from unread(table, _OF_CLASSIFICATION, "classification")
        if isinstance(table, DistillTable):
            for name in ("alpha", "beta"):
                if name in table.model_fields_set:
                    yield name, "is only read for `task: classification`; leave it out"
            if table.method not in (None, *_METHODS):
                wrong = (
                    f"is '{table.method}', which needs one answer per image; for "
                    f"`task: detection` it must be one of: {', '.join(_METHODS)}"
                )
                yield "method", wrong

    def probe(self, table: FinetuneTable, *, seed: int) -> Training | None:
        if table.strategy in (None, "full"):
            return None
        own = filled_in(table, {"probe_epochs": 3, "probe_lr": 1e-3})
        shared = _resolved(table, _PRETRAINED, seed)
        return shared.model_copy(
            update={
                "epochs": own["probe_epochs"],
                "lr": own["probe_lr"],
                "optimizer": "adamw",
                "weight_decay": WEIGHT_DECAY["adamw"],
                "warmup_epochs": 0.0,
                "no_aug_epochs": 0,
                "patience": None,
            }
        )

    def whole(self, table: FinetuneTable, *, seed: int, pretrained: bool) -> Training | None:
        if table.strategy == "linear-probe":
            return None
        return _resolved(table, _PRETRAINED if pretrained else _FROM_SCRATCH, seed)

    def student(self, table: DistillTable, *, seed: int, pretrained: bool) -> Training:
        return _resolved(table, _PRETRAINED if pretrained else _FROM_SCRATCH, seed)

    def distillation(self, table: DistillTable) -> DistillLoss:
        own = filled_in(table, {"method": "pkd", "temperature": 1.0})
        weights = ("label_weight", "soft_weight", "box_weight", "feature_weight")
        return DistillLoss.model_validate(
            {**own, **{name: getattr(table, name) for name in weights}}
        )

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
        from edgetl.train.detectors import setup
        from edgetl.train.fit import fit

        del features  # maps of augmented images never come back, so there is nothing to cache
        head_setup = setup(dataset, as_detector(family), training, learns={family.head: 1.0})
        return fit(module, head_setup, training=training, run_context=run_context)

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
        from edgetl.train.detectors import setup
        from edgetl.train.fit import fit

        if teacher_signal is not None:
            from edgetl.train.feature_distillation import train_with_features

            return train_with_features(
                module,
                as_detector(family),
                training,
                dataset=dataset,
                run_context=run_context,
                teacher_signal=teacher_signal,
            )
        whole_setup = setup(dataset, as_detector(family), training)
        return fit(module, whole_setup, training=training, run_context=run_context)


def _resolved(table: TrainingTable, rates: Mapping[str, float], seed: int) -> Training:
    defaults: dict[str, object] = {
        "batch_size": _BATCH,
        "lr": rates[table.optimizer],
        "weight_decay": WEIGHT_DECAY[table.optimizer],
        "clip_norm": _CLIP_NORM,
        "mosaic": _MOSAIC if table.augment == "strong" else 0.0,
        "mixup": 0.0,
        "no_aug_epochs": table.epochs // _NO_AUG_SHARE,
        "multi_scale": False,
    }
    return resolve(table, defaults, seed=seed)


TASK = _Detection()
