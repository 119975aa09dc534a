"""The teacher's softened classes as targets (Hinton et al. 2015, https://arxiv.org/abs/1503.02531)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field

from edgetl.config.table import Table
from edgetl.train.distillation import DistillationMethod, Outputs, Signal

if TYPE_CHECKING:
    from torch import Tensor


class Options(Table):
    """How the teacher's classes are weighted."""

    temperature: float = Field(default=4.0, gt=0.0)
    """Softens the classes of both networks; 1 leaves them as they are."""
    soft_weight: float = Field(default=1.0, ge=0.0)
    """Weight of the teacher's classes."""


def _terms(
    options: Options, student: Outputs, teacher: Outputs, labels: Tensor
) -> Iterator[Tensor]:
    from edgetl.nn.distillation import soft_target_loss

    del labels
    if options.soft_weight:
        divergence = soft_target_loss(student.logits, teacher.logits, options.temperature)
        yield options.soft_weight * divergence


METHOD = DistillationMethod(
    version=1,
    tasks=("classification",),
    signals=frozenset({Signal.LOGITS}),
    options=Options,
    terms=_terms,
)
