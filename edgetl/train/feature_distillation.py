"""Distillation of detectors: a student that also imitates its teacher's answers and neck maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from edgetl.models import FAMILIES, DetectorFamily, as_detector
from edgetl.nn.detection_distillation import (
    FeatureAdapter,
    channel_loss,
    correlation_loss,
    prediction_loss,
)
from edgetl.nn.layers import RawPixels
from edgetl.nn.yolox import RawDetections
from edgetl.train.detectors import DetectorBatch, Grids, Teacher, TeacherOutputs, box_loss, setup
from edgetl.train.fit import Fitted, fit
from edgetl.train.interfaces import LABELLED, Loss, RunContext
from edgetl.train.options import DistillLoss, Training
from edgetl.train.tasks import TeacherSignal

if TYPE_CHECKING:
    from edgetl.data.dataset import Dataset

_PROBE_SIDE = 64
"""Of a blank image that shows how many channels the maps have, pixels."""


@dataclass(frozen=True, slots=True)
class StudentOutputs:
    """What a student computes for a batch."""

    raw: RawDetections
    maps: tuple[Tensor, ...]
    """Of its neck, brought to the teacher's channels."""


class DistillationObjective:
    """Labels, and the outputs and neck maps of a teacher; owns the adapter between the maps."""

    def __init__(
        self,
        student: nn.Module,
        feature_layers: Sequence[str],
        adapter: nn.Module,
        criterion: Loss[StudentOutputs, DetectorBatch],
    ) -> None:
        """Describe the objective.

        Args:
            student: The network that is trained, not copied.
            feature_layers: Names of its submodules that give the maps.
            adapter: From these maps to maps with the teacher's channels.
            criterion: The loss on what both make of the student.
        """
        self.modules = (adapter,)
        self._student = student
        self._feature_layers = tuple(feature_layers)
        self._criterion = criterion

    def loss(self, network: nn.Module, samples: Mapping[str, DetectorBatch]) -> Tensor:
        """Return the loss of one batch that a teacher has seen."""
        batch = samples[LABELLED]
        with capturing(self._student, self._feature_layers) as maps:
            raw: RawDetections = network(batch.inputs)
        # In mixed precision the maps are of 16 bits, the adapter is not.
        [adapter] = self.modules
        adapted = adapter([maps[name].float() for name in self._feature_layers])
        return self._criterion(StudentOutputs(raw, adapted), batch)


def train_with_features(
    student: nn.Module,
    family: DetectorFamily,
    training: Training,
    *,
    dataset: Dataset,
    run_context: RunContext,
    teacher_signal: TeacherSignal,
) -> Fitted:
    """Train a student on labels and on what its teacher says to the same augmented images.

    Args:
        student: Changed in place.
        family: Of the student.
        training: How.
        dataset: With training images, and validation images that choose the best epoch.
        run_context: Where to train.
        teacher_signal: The teacher: any detector with as many classes, and the same strides.

    Returns:
        The student alone, and its history.
    """
    teacher = as_detector(FAMILIES.load(teacher_signal.spec.family))
    adapter = FeatureAdapter(
        _channels(student, family.feature_layers),
        _channels(teacher_signal.module, teacher.feature_layers),
        seed=training.seed,
    )
    objective = DistillationObjective(
        student,
        family.feature_layers,
        adapter,
        feature_distillation_loss(teacher_signal.loss, family),
    )
    plain = setup(dataset, family, training, teacher=_predictions_of(teacher_signal))
    return fit(
        student,
        replace(plain, objective=objective),
        training=training,
        run_context=run_context,
    )


def feature_distillation_loss(
    settings: DistillLoss, family: DetectorFamily
) -> Loss[StudentOutputs, DetectorBatch]:
    """Return the loss of an apprentice: labels, soft answers, boxes and maps by their weights."""
    on_labels = box_loss(family)
    grids = Grids(family)
    if settings.method == "pkd":
        distance = correlation_loss
    else:
        distance = partial(channel_loss, temperature=settings.temperature)

    def loss(found: StudentOutputs, batch: DetectorBatch) -> Tensor:
        if batch.teacher_outputs is None:
            raise ValueError(f"method '{settings.method}' needs batches that a teacher answered")
        total = settings.label_weight * on_labels(found.raw, batch)
        # What counts nothing is not computed: even its zeros would change the last bits.
        if settings.soft_weight or settings.box_weight:
            soft, box = prediction_loss(
                found.raw,
                batch.teacher_outputs.raw,
                grids.of(batch.inputs),
                temperature=settings.temperature,
            )
            total = total + settings.soft_weight * soft + settings.box_weight * box
        if settings.feature_weight:
            pairs = zip(found.maps, batch.teacher_outputs.maps, strict=True)
            maps = torch.stack([distance(own, given) for own, given in pairs]).mean()
            total = total + settings.feature_weight * maps
        return total

    return loss


def forward_with_features(
    module: nn.Module, feature_layers: Sequence[str], images: Tensor
) -> tuple[RawDetections, tuple[Tensor, ...]]:
    """Return the raw outputs of a detector and the maps of its submodules `feature_layers`."""
    with capturing(module, feature_layers) as captured:
        raw: RawDetections = module(images)
    return raw, tuple(captured[name] for name in feature_layers)


@contextmanager
def capturing(module: nn.Module, feature_layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Yield a dictionary that passes through `module` fill with the maps of `feature_layers`."""
    captured: dict[str, Tensor] = {}

    def capture(name: str, _module: nn.Module, _inputs: object, output: Tensor) -> None:
        captured[name] = output

    # Hooks stay no longer than a pass: a copy of the module, as the average is, has none.
    handles = [
        module.get_submodule(name).register_forward_hook(partial(capture, name))
        for name in feature_layers
    ]
    try:
        yield captured
    finally:
        for handle in handles:
            handle.remove()


def _predictions_of(teacher_signal: TeacherSignal) -> Teacher:
    """Return the teacher as batches ask it: raw pixels in, answers and maps out."""
    feature_layers = as_detector(FAMILIES.load(teacher_signal.spec.family)).feature_layers
    device = next(teacher_signal.module.parameters()).device
    normalise = RawPixels(nn.Identity(), teacher_signal.spec.mean, teacher_signal.spec.std).to(
        device
    )
    module = teacher_signal.module.eval().to(memory_format=torch.channels_last)

    def predict(pixels: Tensor) -> TeacherOutputs:
        with torch.no_grad():
            raw, maps = forward_with_features(module, feature_layers, normalise(pixels.to(device)))
        return TeacherOutputs(raw, maps)

    return predict


def _channels(module: nn.Module, feature_layers: Sequence[str]) -> list[int]:
    device = next(module.parameters()).device
    was_training = module.training
    with torch.no_grad():
        blank = torch.zeros(1, 3, _PROBE_SIDE, _PROBE_SIDE, device=device)
        _, maps = forward_with_features(module.eval(), feature_layers, blank)
    module.train(was_training)
    return [found.shape[1] for found in maps]
