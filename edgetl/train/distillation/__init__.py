"""The contract of a distillation method: from options to a loss on student and teacher outputs.

A method is a file here. It imports no framework at the top, because plans and recipes read its
options.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import SerializeAsAny

from edgetl.config.table import Table
from edgetl.plugins import Slot

if TYPE_CHECKING:  # planning must not wait for torch
    from torch import Tensor, nn

    from edgetl.data.dataset import Dataset
    from edgetl.models import ModelSpec
    from edgetl.nn.boxes import Grid
    from edgetl.nn.yolox import RawDetections


class Signal(StrEnum):
    """What a method compares between student and teacher."""

    LOGITS = "logits"
    DETECTIONS = "detections"
    FEATURES = "features"
    """Maps of the family's feature layers; an adapter maps the student's to the teacher's channels,
    is trained with the student, and is dropped afterwards."""


@dataclass(frozen=True, slots=True)
class LocatedDetections:
    """Raw outputs of a detector, with the locations that they are for."""

    raw: RawDetections
    grid: Grid


@dataclass(frozen=True, slots=True)
class Outputs:
    """The outputs of a network for a batch, as far as the method needs them."""

    values: Mapping[Signal, object]

    @property
    def logits(self) -> Tensor:
        """Shape `(N, K)`."""
        return cast("Tensor", self._of(Signal.LOGITS))

    @property
    def detections(self) -> LocatedDetections:
        """Before decoding."""
        return cast("LocatedDetections", self._of(Signal.DETECTIONS))

    @property
    def features(self) -> tuple[Tensor, ...]:
        """Each `(N, C, H, W)`; the same shapes for student and teacher."""
        return cast("tuple[Tensor, ...]", self._of(Signal.FEATURES))

    def _of(self, signal: Signal) -> object:
        if signal not in self.values:
            raise ValueError(f"there are no {signal}; a method must state every signal it needs")
        return self.values[signal]


@dataclass(frozen=True, slots=True)
class DistillationMethod:
    """How a student learns from its teacher.

    Attributes:
        version: Raised when the same options give a different loss than before.
        tasks: Names of the tasks that it supports; None for all.
        signals: What it compares between student and teacher; the tasks provide them.
        options: Its own keys of the recipe table, without those that all methods share.
        terms: Yields the weighted terms that are added to the loss on labels, for options, student,
            teacher and labels (`(N,)`, int64; for detection `(N, T)`). No gradient flows to the
            teacher. A term of weight zero is not yielded, because even zeros would change the last
            bits.
    """

    version: int
    tasks: tuple[str, ...] | None
    signals: frozenset[Signal]
    options: type[Table]
    terms: Callable[[Any, Outputs, Outputs, Tensor], Iterator[Tensor]]

    @property
    def follows_logits_alone(self) -> bool:
        """Whether the teacher's outputs are small enough to cache, and its input may differ."""
        return self.signals == {Signal.LOGITS}


METHODS: Slot[DistillationMethod] = Slot(
    "edgetl.train.distillation",
    "METHOD",
    "distillation method",
    "edgetl.distillation",
    hyphens=True,
)


class MethodSettings(Table):
    """A method with its options, on which a student depends."""

    name: str
    options: SerializeAsAny[Table]
    """The method's own options."""


def method_settings(name: str, table: Table) -> MethodSettings:
    """Return the settings of the method `name`; `table` includes its keys."""
    method = METHODS.load(name)
    own = {key: getattr(table, key) for key in method.options.model_fields}
    return MethodSettings(name=name, options=method.options.model_validate(own))


@dataclass(frozen=True, slots=True)
class TeacherSignal:
    """A teacher, and how a student learns from it."""

    spec: ModelSpec
    """Of the teacher."""
    module: nn.Module
    """In evaluation mode, on the device that trains."""
    method: MethodSettings
    label_weight: float
    """Weight of the loss on labels."""
    dataset: Dataset | None = None
    """The images as the teacher sees them; None if the student sees the same."""
    outputs: Path | None = None
    """Folder with its outputs for all views of the training images; None to compute them."""


class DistillationLoss:
    """The loss on labels and on the outputs of a teacher."""

    def __init__(self, signal: TeacherSignal) -> None:
        """Load the method of `signal`."""
        self._method = METHODS.load(signal.method.name)
        self._options = signal.method.options
        self._label_weight = signal.label_weight

    @property
    def signals(self) -> frozenset[Signal]:
        """What the method compares between student and teacher."""
        return self._method.signals

    def total(
        self, label_loss: Tensor, labels: Tensor, *, student: Outputs, teacher: Outputs
    ) -> Tensor:
        """Return the weighted sum of the loss on labels and the terms of the method."""
        total = self._label_weight * label_loss
        for term in self._method.terms(self._options, student, teacher, labels):
            total = total + term
        return total
