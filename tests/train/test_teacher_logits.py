from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgetl.data.augment import Level
from edgetl.data.dataset import IMAGES_FILE, Dataset, Item, write_images, write_index
from edgetl.data.loaders import TrainBatches
from edgetl.runtime.preprocess import Preprocess
from edgetl.train.image_batches import raw_pixels
from edgetl.train.teacher_logits import make_teacher
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
