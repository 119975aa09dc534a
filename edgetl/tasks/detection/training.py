"""Training of detectors: labelled boxes, and the outputs and neck maps of a teacher."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from edgetl.models import as_detector
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

_FROM_SCRATCH = {"adamw": 0.01, "sgd": 0.01}
_PRETRAINED = {"adamw": 1e-3, "sgd": 0.005}

_BATCH = 8
_PROBE_EPOCHS = 3
_PROBE_LR = 1e-3
_NO_AUG_SHARE = 5
"""The last one of this many epochs is without mosaic and mixup."""
_MOSAIC = 0.5
_CLIP_NORM = 10.0
"""Above the norms of a healthy training: the first steps of a new network have gradients of some
thousands, which block the averages of `adamw` for an epoch."""


class DetectorTable(TrainingTable):
    """The recipe keys for training detectors."""

    mosaic: float | None = Field(default=None, ge=0.0, le=1.0)
    """Probability that four images share the input; by default 0.5 with `augment: strong`, else
    0."""
    mixup: float = Field(default=0.0, ge=0.0, le=1.0)
    """Probability that a second image is blended in."""
    no_aug_epochs: int | None = Field(default=None, ge=0)
    """Last epochs without mosaic and mixup, and with the L1 distance of the boxes in the loss; by
    default a fifth of `epochs`."""
    multi_scale: bool = False
    """Train at sizes up to two steps of 32 pixels below and above the input's."""

    @model_validator(mode="after")
    def _no_aug_epochs_fit(self) -> DetectorTable:
        if self.no_aug_epochs is not None and self.no_aug_epochs > self.epochs:
            raise ValueError(
                f"no_aug_epochs is {self.no_aug_epochs}; must not be more than epochs "
                f"({self.epochs})"
            )
        return self


class DetectorTraining(Training):
    """Everything that the training of a detector depends on, apart from network, data and loss."""

    mosaic: float = 0.0
    mixup: float = 0.0
    no_aug_epochs: int = 0
    multi_scale: bool = False


class _DetectionTraining:
    table: type[TrainingTable] = DetectorTable
    strategy = "full"
    method = "pkd"
    signals = frozenset({Signal.DETECTIONS, Signal.FEATURES})
    caches_features = False
    """Maps of augmented images never come back."""
    tools: tuple[str, ...] = ("numpy", "pillow", "pycocotools", "torch", "torchvision")

    def training(self, table: TrainingTable, *, start: Start, seed: int) -> DetectorTraining:
        rates = _FROM_SCRATCH if start is Start.RANDOM else _PRETRAINED
        defaults: dict[str, object] = {
            "batch_size": _BATCH,
            "lr": rates[table.optimizer],
            "weight_decay": WEIGHT_DECAY[table.optimizer],
            "clip_norm": _CLIP_NORM,
            "mosaic": _MOSAIC if table.augment == "strong" else 0.0,
            "no_aug_epochs": table.epochs // _NO_AUG_SHARE,
        }
        return resolve(DetectorTraining, table, defaults, seed=seed)

    def head_training(
        self, table: TrainingTable, *, epochs: int | None, lr: float | None, seed: int
    ) -> DetectorTraining:
        return self.training(table, start=Start.PRETRAINED, seed=seed).model_copy(
            update={
                "epochs": _PROBE_EPOCHS if epochs is None else epochs,
                "lr": _PROBE_LR if lr is None else lr,
                "optimizer": "adamw",
                "weight_decay": WEIGHT_DECAY["adamw"],
                "warmup_epochs": 0.0,
                "no_aug_epochs": 0,
                "patience": None,
            }
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
        from edgetl.tasks.detection.detectors import setup
        from edgetl.tasks.detection.feature_distillation import setup_with_teacher
        from edgetl.train.fit import fit

        del features
        if phase.cached_features:
            raise ValueError(f"phase '{phase.name}': detectors have no cached features")
        if teacher_signal is None:
            detector_setup = setup(dataset, as_detector(family), phase)
        else:
            detector_setup = setup_with_teacher(
                module,
                as_detector(family),
                phase,
                dataset=dataset,
                teacher_signal=teacher_signal,
            )
        return fit(module, detector_setup, training=phase.training, run_context=run_context)


TRAINING = _DetectionTraining()
