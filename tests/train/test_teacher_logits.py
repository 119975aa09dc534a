from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgetl.data.augment import Level
from edgetl.data.dataset import IMAGES_FILE, Dataset, Item, write_images, write_index
from edgetl.data.loaders import TrainBatches
from edgetl.nn.distillation import decoupled_loss, soft_target_loss
from edgetl.nn.losses import label_loss
from edgetl.runtime.preprocess import Preprocess
from edgetl.train.image_batches import LabelledBatch, raw_pixels
from edgetl.train.options import DistillLoss
from edgetl.train.teacher_logits import distillation_loss, make_teacher
from edgetl.types import Split, Task

SIZE = 32
IMAGES = 12


class Plain:
    """The normalisation that a network without a family expects."""

    mean = (0.5, 0.4, 0.3)
    std = (0.2, 0.2, 0.2)


class Sided(nn.Module):
    """A teacher that sees whether an image is mirrored: it weighs the columns differently."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1.0, 1.0, SIZE * 3).reshape(3, SIZE))
        self.calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        columns = images.mean(dim=2)
        return torch.stack([(columns * self.weight).sum(dim=(1, 2)), columns[:, 0, 0]], dim=1)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, SIZE, SIZE, 3), np.uint8)
    with (tmp_path / IMAGES_FILE).open("wb") as file:
        write_images(file, list(images), images.shape)
    items = [Item(f"{row}.png", row % 2, f"{row:064x}") for row in range(IMAGES)]
    write_index(
        tmp_path,
        task=Task.CLASSIFICATION,
        classes=("a", "b"),
        preprocess=Preprocess(SIZE, SIZE, "stretch", "bilinear", 0),
        items={Split.TRAIN: items, Split.VAL: [], Split.TEST: []},
        dropped=[],
    )
    return Dataset.open(tmp_path)


@pytest.mark.parametrize(
    ("level", "later_calls"),
    [(Level.NONE, 0), (Level.FLIP, 0), (Level.LIGHT, 9)],
    ids=["none", "flip", "light"],
)
def test_teacher_answers_exactly_what_the_student_sees(
    dataset: Dataset, level: Level, later_calls: int
) -> None:
    module = Sided().eval()
    teacher = make_teacher(module, Plain(), dataset, augment=level.value)
    beforehand = module.calls
    source = TrainBatches(dataset, batch_size=4, seed=1, level=level)
    batches = [batch for epoch in range(3) for batch in source.epoch(epoch)]

    predictions = [teacher.logits(batch) for batch in batches]

    assert module.calls - beforehand == later_calls
    network = raw_pixels(module, Plain())
    for batch, found in zip(batches, predictions, strict=True):
        expected = network(batch.images.permute(0, 2, 3, 1).float())
        torch.testing.assert_close(found, expected.detach(), atol=1e-4, rtol=1e-5)
        assert not found.requires_grad
        assert not found.is_inference()


def drawn_batch() -> tuple[Tensor, LabelledBatch]:
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(6, 3, generator=generator) for _ in range(2))
    labels = torch.randint(3, (6,), generator=generator)
    return student, LabelledBatch(torch.zeros(6, 1), labels, teacher)


def on_labels(logits: Tensor, batch: LabelledBatch) -> Tensor:
    return label_loss(logits, batch.labels)


def test_loss_of_soft_targets_weighs_labels_and_teacher() -> None:
    student, batch = drawn_batch()
    settings = DistillLoss(
        method="soft-targets", temperature=2.0, label_weight=0.3, soft_weight=0.7
    )

    found = distillation_loss(settings, on_labels)(student, batch)

    assert batch.teacher_logits is not None
    expected = 0.3 * on_labels(student, batch) + 0.7 * soft_target_loss(
        student, batch.teacher_logits, 2.0
    )
    assert found.item() == pytest.approx(expected.item())


def test_loss_of_dkd_weighs_labels_and_both_parts() -> None:
    student, batch = drawn_batch()
    settings = DistillLoss(method="dkd", temperature=2.0, label_weight=0.3, alpha=0.5, beta=4.0)

    found = distillation_loss(settings, on_labels)(student, batch)

    assert batch.teacher_logits is not None
    distilled = decoupled_loss(
        student, batch.teacher_logits, batch.labels, temperature=2.0, alpha=0.5, beta=4.0
    )
    assert found.item() == pytest.approx((0.3 * on_labels(student, batch) + distilled).item())


def test_loss_on_labels_is_the_one_that_was_given() -> None:
    assert distillation_loss(DistillLoss(method="labels"), on_labels) is on_labels


def test_distillation_without_a_teacher_in_the_batch_is_an_error() -> None:
    student, batch = drawn_batch()
    settings = DistillLoss(method="dkd", temperature=2.0)

    with pytest.raises(ValueError, match="method 'dkd' needs batches with teacher_logits"):
        distillation_loss(settings, on_labels)(student, LabelledBatch(batch.inputs, batch.labels))
