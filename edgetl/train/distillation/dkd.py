"""Decoupled knowledge distillation (Zhao et al. 2022, https://arxiv.org/abs/2203.08679)."""

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
    alpha: float = Field(default=1.0, ge=0.0)
    """Weight of the target class against all others."""
    beta: float = Field(default=2.0, ge=0.0)
    """Weight of the distribution among the other classes."""


def _terms(
    options: Options, student: Outputs, teacher: Outputs, labels: Tensor
) -> Iterator[Tensor]:
    from edgetl.nn.distillation import decoupled_loss

    if options.alpha or options.beta:
        yield decoupled_loss(
            student.logits,
            teacher.logits,
            labels,
            temperature=options.temperature,
            alpha=options.alpha,
            beta=options.beta,
        )


METHOD = DistillationMethod(
    version=1,
    tasks=("classification",),
    signals=frozenset({Signal.LOGITS}),
    options=Options,
    terms=_terms,
)
