"""`PatchMean` with one output: a grade."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .family import PatchMean

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class PatchGrade(PatchMean):
    task: str = "grading"

    def build(self, *, width: float, num_classes: int, seed: int) -> nn.Module:
        del num_classes
        return PatchMean.build(self, width=width, num_classes=1, seed=seed)


FAMILY = PatchGrade()
