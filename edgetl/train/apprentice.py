"""Distillation of detectors: a student that also imitates its teacher's answers and neck maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from edgetl.models import FAMILIES, Family
from edgetl.nn.detection_distillation import (
    FeatureAdapter,
    answer_loss,
    channel_loss,
    correlation_loss,
)
from edgetl.nn.layers import RawPixels
from edgetl.nn.yolox import RawDetections
from edgetl.train.detectors import DetectorBatch, Grids, Taught, Teacher, box_loss, course
from edgetl.train.fit import Fitted, fit
from edgetl.train.options import DistillLoss, Training
from edgetl.train.tasks import Lesson
from edgetl.train.terms import Course, Exam, Loss, Surroundings

if TYPE_CHECKING:
    from edgetl.data.dataset import Dataset

_PROBE_SIDE = 64
"""Of a blank photo that shows how many channels the maps have, pixels."""


class Imitation(NamedTuple):
    """What an apprentice answers; a tuple, as Fabric looks into what a module returns."""

    raw: RawDetections
    maps: tuple[Tensor, ...]
    """Of its neck, brought to the teacher's channels."""


class Apprentice(nn.Module):
    """A student with the adapters that its maps need; only the student is kept in the end."""

    def __init__(self, student: nn.Module, taps: Sequence[str], adapter: nn.Module) -> None:
        """Wrap `student`.

        Args:
            student: Not copied.
            taps: Names of its submodules that give the maps.
            adapter: From these maps to maps with the teacher's channels.
        """
        super().__init__()
        self.student = student
        self.adapter = adapter
        self._taps = tuple(taps)

    def forward(self, images: Tensor) -> Imitation:
        """Return what the student says, and its adapted maps."""
        raw, maps = tapped(self.student, self._taps, images)
        return Imitation(raw, self.adapter(maps))


def train_apprentice(
    student: nn.Module,
    family: Family,
    training: Training,
    *,
    dataset: Dataset,
    surroundings: Surroundings,
    lesson: Lesson,
) -> Fitted:
    """Train a student on labels and on what its teacher says to the same augmented photos.

    Args:
        student: Changed in place.
        family: Of the student.
        training: How.
        dataset: With training photos, and validation photos that choose the best epoch.
        surroundings: Where to train.
        lesson: The teacher: any detector with as many classes, and the same strides.

    Returns:
        The student alone, and its history.
    """
    teacher = FAMILIES.load(lesson.spec.family)
    adapter = FeatureAdapter(
        _channels(student, family.taps), _channels(lesson.module, teacher.taps), seed=training.seed
    )
    plain = course(dataset, family, training, teacher=_answers_of(lesson))
    taught = Course(
        plain.batches, imitation_loss(lesson.loss, family), _of_student(plain.exam), plain.frozen
    )
    fitted = fit(
        Apprentice(student, family.taps, adapter),
        taught,
        training=training,
        surroundings=surroundings,
    )
    return replace(fitted, module=student)


def imitation_loss(settings: DistillLoss, family: Family) -> Loss[Imitation, DetectorBatch]:
    """Return the loss of an apprentice: labels, soft answers, boxes and maps by their weights."""
    on_labels = box_loss(family)
    grids = Grids(family)
    if settings.method == "pkd":
        distance = correlation_loss
    else:
        distance = partial(channel_loss, temperature=settings.temperature)

    def loss(found: Imitation, batch: DetectorBatch) -> Tensor:
        if batch.taught is None:
            raise ValueError(f"method '{settings.method}' needs batches that a teacher answered")
        total = settings.label_weight * on_labels(found.raw, batch)
        # What counts nothing is not computed: even its zeros would change the last bits.
        if settings.soft_weight or settings.box_weight:
            soft, box = answer_loss(
                found.raw,
                batch.taught.raw,
                grids.of(batch.inputs),
                temperature=settings.temperature,
            )
            total = total + settings.soft_weight * soft + settings.box_weight * box
        if settings.feature_weight:
            pairs = zip(found.maps, batch.taught.maps, strict=True)
            maps = torch.stack([distance(own, given) for own, given in pairs]).mean()
            total = total + settings.feature_weight * maps
        return total

    return loss


def tapped(
    module: nn.Module, taps: Sequence[str], images: Tensor
) -> tuple[RawDetections, tuple[Tensor, ...]]:
    """Return what a detector answers, and the maps of its submodules `taps` on the way."""
    with _listening(module, taps) as heard:
        raw: RawDetections = module(images)
    return raw, tuple(heard[name] for name in taps)


@contextmanager
def _listening(module: nn.Module, taps: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    heard: dict[str, Tensor] = {}

    def listen(name: str, _module: nn.Module, _given: object, found: Tensor) -> None:
        heard[name] = found

    # Hooks stay no longer than a pass: a copy of the module, as the average is, has none.
    handles = [
        module.get_submodule(name).register_forward_hook(partial(listen, name)) for name in taps
    ]
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()


def _answers_of(lesson: Lesson) -> Teacher:
    """Return the teacher as batches ask it: raw pixels in, answers and maps out."""
    taps = FAMILIES.load(lesson.spec.family).taps
    device = next(lesson.module.parameters()).device
    normalise = RawPixels(nn.Identity(), lesson.spec.mean, lesson.spec.std).to(device)
    module = lesson.module.eval().to(memory_format=torch.channels_last)

    def answer(pixels: Tensor) -> Taught:
        with torch.no_grad():
            raw, maps = tapped(module, taps, normalise(pixels.to(device)))
        return Taught(raw, maps)

    return answer


def _of_student(exam: Exam | None) -> Exam | None:
    """Return an exam of apprentices in which only the student answers."""
    if exam is None:
        return None
    take = exam.take
    return replace(exam, take=lambda module: take(module.get_submodule("student")))


def _channels(module: nn.Module, taps: Sequence[str]) -> list[int]:
    device = next(module.parameters()).device
    was_training = module.training
    with torch.no_grad():
        blank = torch.zeros(1, 3, _PROBE_SIDE, _PROBE_SIDE, device=device)
        _, maps = tapped(module.eval(), taps, blank)
    module.train(was_training)
    return [found.shape[1] for found in maps]
