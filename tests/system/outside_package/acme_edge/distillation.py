"""The student's logits follow the teacher's by their distance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field

from edgetl.config.table import Table
from edgetl.train.distillation import DistillationMethod, Outputs, Signal

if TYPE_CHECKING:
    from torch import Tensor


class Options(Table):
    distance_weight: float = Field(default=1.0, gt=0.0)
    """Weight of the squared distance."""


def _terms(
    options: Options, student: Outputs, teacher: Outputs, labels: Tensor
) -> Iterator[Tensor]:
    from torch.nn.functional import mse_loss

    del labels
    yield options.distance_weight * mse_loss(student.logits, teacher.logits.detach())


METHOD = DistillationMethod(
    version=1,
    tasks=("classification", "grading"),
    signals=frozenset({Signal.LOGITS}),
    options=Options,
    terms=_terms,
)
