"""Channel-wise distillation of maps (Shu et al. 2021, https://arxiv.org/abs/2011.13256)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field

from edgetl.train.distillation import DistillationMethod, Outputs
from edgetl.train.distillation._detectors import SIGNALS, DetectorOptions, detector_terms

if TYPE_CHECKING:
    from torch import Tensor


class Options(DetectorOptions):
    """How the teacher's scores, boxes and maps are weighted."""

    temperature: float = Field(default=1.0, gt=0.0)
    """Softens the scores and the maps of both networks; 1 leaves them as they are."""


def _terms(
    options: Options, student: Outputs, teacher: Outputs, labels: Tensor
) -> Iterator[Tensor]:
    from edgetl.nn.detection_distillation import channel_loss

    del labels
    distance = partial(channel_loss, temperature=options.temperature)
    yield from detector_terms(options, student, teacher, distance)


METHOD = DistillationMethod(
    version=1, tasks=("detection",), signals=SIGNALS, options=Options, terms=_terms
)
