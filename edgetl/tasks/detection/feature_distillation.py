"""Distillation of detectors: a student also learns from its teacher's outputs and neck maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from edgetl.models import FAMILIES, DetectorFamily, as_detector
from edgetl.nn.detection_distillation import FeatureAdapter
from edgetl.nn.layers import RawPixels
from edgetl.nn.yolox import RawDetections
from edgetl.tasks.detection.detectors import (
    DetectorBatch,
    Grids,
    Teacher,
    TeacherOutputs,
    box_loss,
    setup,
)
from edgetl.train.distillation import (
    DistillationLoss,
    LocatedDetections,
    Outputs,
    Signal,
    TeacherSignal,
)
from edgetl.train.interfaces import LABELLED, TrainingSetup
from edgetl.train.strategies import Phase

if TYPE_CHECKING:
    from edgetl.data.dataset import Dataset

_PROBE_SIDE = 64
"""Of a blank image that shows how many channels the maps have, pixels."""


class DetectorDistillation:
    """The objective of a student that learns from the outputs and maps of its teacher."""

    def __init__(
        self,
        distillation: DistillationLoss,
        family: DetectorFamily,
        student: nn.Module,
        adapter: nn.Module | None,
    ) -> None:
        """Describe the objective.

        Args:
            distillation: Loss on labels and on the teacher's outputs.
            family: Of the student.
            student: The network that is trained, not copied.
            adapter: From the maps of its feature layers to maps with the teacher's channels; None
                for methods that need no maps.
        """
        self.modules = () if adapter is None else (adapter,)
        self._distillation = distillation
        self._student = student
        self._adapter = adapter
        self._feature_layers = () if adapter is None else family.feature_layers
        self._box_loss = box_loss(family)
        self._grids = Grids(family)

    def loss(self, network: nn.Module, samples: Mapping[str, DetectorBatch]) -> Tensor:
        """Return the loss of one batch that a teacher has seen."""
        batch = samples[LABELLED]
        if batch.teacher_outputs is None:
            raise ValueError("distillation needs batches with teacher_outputs")
        with _capturing(self._student, self._feature_layers) as maps:
            raw: RawDetections = network(batch.inputs)
        grid, teacher = self._grids.of(batch.inputs), batch.teacher_outputs
        own: dict[Signal, object] = {Signal.DETECTIONS: LocatedDetections(raw, grid)}
        others: dict[Signal, object] = {Signal.DETECTIONS: LocatedDetections(teacher.raw, grid)}
        if self._adapter is not None:
            # In mixed precision the maps are of 16 bits, the adapter is not.
            own[Signal.FEATURES] = self._adapter(
                [maps[name].float() for name in self._feature_layers]
            )
            others[Signal.FEATURES] = teacher.maps
        return self._distillation.total(
            self._box_loss(raw, batch),
            batch.labels,
            student=Outputs(own),
            teacher=Outputs(others),
        )


def setup_with_teacher(
    student: nn.Module,
    family: DetectorFamily,
    phase: Phase,
    *,
    dataset: Dataset,
    teacher_signal: TeacherSignal,
) -> TrainingSetup[DetectorBatch]:
    """Return the training of a student on labels and on its teacher's view of the same images.

    Args:
        student: The network that will be trained.
        family: Of the student.
        phase: The parts that learn, and the training's settings.
        dataset: With training images, and validation images that select the best epoch.
        teacher_signal: The teacher: any detector with the same number of classes and strides.
    """
    distillation = DistillationLoss(teacher_signal)
    teacher = as_detector(FAMILIES.load(teacher_signal.spec.family))
    with_maps = Signal.FEATURES in distillation.signals
    adapter = None
    if with_maps:
        adapter = FeatureAdapter(
            _channels(student, family.feature_layers),
            _channels(teacher_signal.module, teacher.feature_layers),
            seed=phase.training.seed,
        )
    feature_layers = teacher.feature_layers if with_maps else ()
    plain = setup(dataset, family, phase, teacher=_predictions_of(teacher_signal, feature_layers))
    objective = DetectorDistillation(distillation, family, student, adapter)
    return replace(plain, objective=objective)


def forward_with_features(
    module: nn.Module, feature_layers: Sequence[str], images: Tensor
) -> tuple[RawDetections, tuple[Tensor, ...]]:
    """Return the raw outputs of a detector and the maps of its submodules `feature_layers`."""
    with _capturing(module, feature_layers) as captured:
        raw: RawDetections = module(images)
    return raw, tuple(captured[name] for name in feature_layers)


@contextmanager
def _capturing(module: nn.Module, feature_layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
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


def _predictions_of(teacher_signal: TeacherSignal, feature_layers: Sequence[str]) -> Teacher:
    """Return the teacher as batches use it: raw pixels in, raw outputs and maps out."""
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
    return [each.shape[1] for each in maps]
