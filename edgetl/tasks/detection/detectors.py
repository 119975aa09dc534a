"""Training of detectors: augmented images with boxes, the detection loss, validation by mAP.

Letters: N batch, H, W of the input, M locations, T boxes, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name the field knows
from torch import Tensor, nn

from edgetl.data.box_batches import BoxBatch, BoxBatches, plain_batches
from edgetl.data.boxes_augment import VARIATIONS
from edgetl.data.dataset import Dataset
from edgetl.models import DetectorFamily
from edgetl.nn.boxes import Grid
from edgetl.nn.detection_loss import detection_loss
from edgetl.nn.detector import DecodedDetector
from edgetl.nn.layers import RawPixels
from edgetl.nn.yolox import RawDetections
from edgetl.runtime.cores import usable_cores
from edgetl.tasks.detection.evaluation import EVALUATION
from edgetl.tasks.detection.training import DetectorTraining
from edgetl.train.interfaces import (
    LABELLED,
    Loss,
    Supervised,
    TrainingSetup,
    Validation,
    Validator,
)
from edgetl.train.strategies import Phase
from edgetl.types import Split

_STEP = 32
"""Sizes of the input differ by this many pixels."""
_MOST_STEPS = 2


@dataclass(frozen=True, slots=True)
class TeacherOutputs:
    """The outputs of a teacher for a batch."""

    raw: RawDetections
    maps: tuple[Tensor, ...]
    """Of its neck, each `(N, C, H / stride, W / stride)`; empty if the method needs none."""

    def to(self, device: torch.device) -> TeacherOutputs:
        """Return the same with all tensors on `device`."""
        return TeacherOutputs(
            RawDetections(*(part.to(device) for part in self.raw)),
            tuple(map_.to(device) for map_ in self.maps),
        )


@dataclass(frozen=True, slots=True)
class DetectorBatch:
    """One step's samples for a detector."""

    inputs: Tensor
    """Shape `(N, 3, H, W)`, float32, normalised."""
    boxes: Tensor
    """Shape `(N, T, 4)`, centre x, centre y, width, height, pixels of the input."""
    labels: Tensor
    """Shape `(N, T)`, int64; -1 for padding."""
    no_aug: bool
    """Whether this is one of the last epochs, without mosaic and mixup."""
    teacher_outputs: TeacherOutputs | None = None
    """None without a teacher."""

    def to(self, device: torch.device) -> DetectorBatch:
        """Return the same with all tensors on `device`."""
        return DetectorBatch(
            self.inputs.to(device),
            self.boxes.to(device),
            self.labels.to(device),
            self.no_aug,
            None if self.teacher_outputs is None else self.teacher_outputs.to(device),
        )


Teacher = Callable[[Tensor], TeacherOutputs]
"""From raw pixels `(N, H, W, 3)`, float32 in 0..255."""


@dataclass(frozen=True, slots=True)
class DetectorBatches:
    """Normalised training images with boxes as a stream of `fit`; with teacher outputs if any."""

    source: BoxBatches
    normalise: nn.Module
    size: int
    """Side of the input, pixels."""
    seed: int
    multi_scale: bool
    teacher: Teacher | None = None

    def __len__(self) -> int:
        """Return the number of steps of an epoch."""
        return len(self.source)

    def epoch(self, number: int) -> Iterator[DetectorBatch]:
        """Yield the batches of epoch `number`, counted from 1."""
        # The leading 2 separates this stream from those of order and augmentation.
        rng = np.random.Generator(
            np.random.PCG64(np.random.SeedSequence([2, self.seed, number - 1]))
        )
        for given in self.source.epoch(number - 1):
            pixels, boxes = torch.from_numpy(given.images).float(), torch.from_numpy(given.boxes)
            if self.multi_scale:
                pixels, boxes = self._resized(pixels, boxes, rng)
            yield DetectorBatch(
                self.normalise(pixels),
                _centred(boxes),
                torch.from_numpy(given.labels),
                given.no_aug,
                self.teacher(pixels) if self.teacher else None,
            )

    def _resized(
        self, pixels: Tensor, boxes: Tensor, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        most = min(_MOST_STEPS, self.size // _STEP - 1)
        size = self.size + _STEP * int(rng.integers(-most, most + 1))
        if size == self.size:
            return pixels, boxes
        moved = pixels.permute(0, 3, 1, 2)
        resized = F.interpolate(moved, (size, size), mode="bilinear", align_corners=False)
        return resized.permute(0, 2, 3, 1), boxes * (size / self.size)


def setup(
    dataset: Dataset,
    family: DetectorFamily,
    phase: Phase,
    *,
    teacher: Teacher | None = None,
) -> TrainingSetup[DetectorBatch]:
    """Return the training of a detector on labelled boxes.

    Args:
        dataset: With training images, and validation images that select the best epoch.
        family: Of the network.
        phase: The parts that learn, and the training's settings.
        teacher: Adds its outputs to every batch.
    """
    training = cast("DetectorTraining", phase.training)
    variation = replace(VARIATIONS[training.augment], mosaic=training.mosaic, mixup=training.mixup)
    source = BoxBatches(
        dataset,
        batch_size=training.batch_size,
        seed=training.seed,
        variation=variation,
        views=training.views,
        no_aug_from=training.epochs - training.no_aug_epochs,
        # With a GPU the CPU is free to make batches; without one, training uses all cores.
        threads=usable_cores() if torch.cuda.is_available() else 0,
    )
    batches = DetectorBatches(
        source,
        RawPixels(nn.Identity(), family.mean, family.std),
        dataset.size,
        training.seed,
        training.multi_scale,
        teacher,
    )
    return TrainingSetup(
        {LABELLED: batches},
        Supervised(box_loss(family)),
        detector_validator(dataset, family),
        phase.rates,
    )


def box_loss(family: DetectorFamily) -> Loss[RawDetections, DetectorBatch]:
    """Return the loss on labelled boxes; without augmentation it includes the L1 distance."""
    grids = Grids(family)

    def loss(raw: RawDetections, batch: DetectorBatch) -> Tensor:
        grid = grids.of(batch.inputs)
        return detection_loss(raw, grid, batch.boxes, batch.labels, l1=batch.no_aug).total

    return loss


class Grids:
    """The locations of a family's detectors, made once per size of the input."""

    def __init__(self, family: DetectorFamily) -> None:
        self._strides = family.strides
        self._known: dict[tuple[int, int, torch.device], Grid] = {}

    def of(self, inputs: Tensor) -> Grid:
        """Return the grid for inputs `(N, 3, H, W)`, on their device."""
        height, width = inputs.shape[-2:]
        place = (height, width, inputs.device)
        if place not in self._known:
            self._known[place] = Grid.of(height, width, self._strides).to(inputs.device)
        return self._known[place]


def detector_validator(dataset: Dataset, family: DetectorFamily) -> Validator | None:
    """Return the validator of a detector on the validation images; None if there are none.

    Boxes go through the decoding and NMS of every other evaluation, with the default settings: the
    recipe's can be changed without another training.
    """
    count = len(dataset.items(Split.VAL))
    if not count:
        return None
    nms = EVALUATION.nms(dataset)
    loss = box_loss(family)
    normalise = RawPixels(nn.Identity(), family.mean, family.std)
    size = dataset.size
    # Decodes outputs that are there already, so that one pass gives loss and predictions.
    decode = DecodedDetector(nn.Identity(), height=size, width=size, strides=family.strides)

    def take(module: nn.Module) -> Validation:
        device = next(module.parameters()).device
        parts, losses = [], 0.0
        with torch.inference_mode():
            for start, given in plain_batches(
                dataset, Split.VAL, batch_size=EVALUATION.images_per_chunk
            ):
                batch = _plain_batch(given, normalise).to(device)
                raw: RawDetections = module(batch.inputs)
                losses += loss(raw, batch).item() * len(given.images)
                boxes, scores = decode.to(device)(raw)
                outputs = {"boxes": boxes.cpu().numpy(), "scores": scores.cpu().numpy()}
                parts.append(EVALUATION.collect(outputs, dataset, Split.VAL, start, nms))
        predictions = EVALUATION.join(parts)
        return Validation(losses / count, EVALUATION.value(predictions, dataset, Split.VAL))

    return Validator(EVALUATION.metric, EVALUATION.title, take)


def _plain_batch(given: BoxBatch, normalise: nn.Module) -> DetectorBatch:
    return DetectorBatch(
        normalise(torch.from_numpy(given.images).float()),
        _centred(torch.from_numpy(given.boxes)),
        torch.from_numpy(given.labels),
        no_aug=False,
    )


def _centred(boxes: Tensor) -> Tensor:
    """Return corner boxes `(..., 4)` as centre x, centre y, width, height."""
    return torch.cat([(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]], -1)
