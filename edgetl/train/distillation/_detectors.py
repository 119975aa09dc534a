"""The terms that all methods for detectors share: scores, boxes and maps, each with its weight."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pydantic import Field

from edgetl.config.table import Table
from edgetl.train.distillation import Outputs, Signal

if TYPE_CHECKING:
    from torch import Tensor

SIGNALS = frozenset({Signal.DETECTIONS, Signal.FEATURES})


class DetectorOptions(Table):
    """How the teacher's scores, boxes and maps are weighted."""

    temperature: float = Field(default=1.0, gt=0.0)
    """Softens the scores of both networks; 1 leaves them as they are."""
    soft_weight: float = Field(default=1.0, ge=0.0)
    """Weight of the teacher's scores, class and objectness together."""
    box_weight: float = Field(default=1.0, ge=0.0)
    """Weight of the teacher's boxes where it is confident."""
    feature_weight: float = Field(default=1.0, ge=0.0)
    """Weight of the teacher's neck maps."""


def detector_terms(
    options: DetectorOptions,
    student: Outputs,
    teacher: Outputs,
    distance: Callable[[Tensor, Tensor], Tensor],
) -> Iterator[Tensor]:
    """Yield the terms of scores, boxes and maps; `distance` is that of two maps."""
    import torch

    from edgetl.nn.detection_distillation import prediction_loss

    if options.soft_weight or options.box_weight:
        own = student.detections
        soft, box = prediction_loss(
            own.raw, teacher.detections.raw, own.grid, temperature=options.temperature
        )
        if options.soft_weight:
            yield options.soft_weight * soft
        if options.box_weight:
            yield options.box_weight * box
    if options.feature_weight:
        pairs = zip(student.features, teacher.features, strict=True)
        maps = torch.stack([distance(*pair) for pair in pairs]).mean()
        yield options.feature_weight * maps
