"""Correlation of maps with the teacher's (Cao et al. 2022, https://arxiv.org/abs/2207.02039)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgetl.train.distillation import DistillationMethod, Outputs
from edgetl.train.distillation._detectors import SIGNALS, DetectorOptions, detector_terms

if TYPE_CHECKING:
    from torch import Tensor


def _terms(
    options: DetectorOptions, student: Outputs, teacher: Outputs, labels: Tensor
) -> Iterator[Tensor]:
    from edgetl.nn.detection_distillation import correlation_loss

    del labels
    yield from detector_terms(options, student, teacher, correlation_loss)


METHOD = DistillationMethod(
    version=1, tasks=("detection",), signals=SIGNALS, options=DetectorOptions, terms=_terms
)
