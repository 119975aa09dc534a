from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgetl.data.dataset import IMAGES_FILE, Dataset, Item, write_images, write_index
from edgetl.data.levels import Level
from edgetl.data.loaders import AugmentedImages, TrainBatches
from edgetl.runtime.preprocess import Preprocess
from edgetl.train.distillation import MethodSettings, TeacherSignal
from edgetl.train.distillation.dkd import Options
from edgetl.train.image_batches import raw_pixels
from edgetl.train.options import Training
from edgetl.train.teacher_logits import make_teacher, write_logits
from edgetl.types import Split

if TYPE_CHECKING:
    from edgetl.models import ModelSpec

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
        task="classification",
        classes=("a", "b"),
        preprocess=Preprocess(SIZE, SIZE, "stretch", "bilinear", 0),
        items={Split.TRAIN: items, Split.VAL: [], Split.TEST: []},
        dropped=[],
    )
    return Dataset.open(tmp_path)


def signal(
    module: nn.Module, dataset: Dataset | None = None, outputs: Path | None = None
) -> TeacherSignal:
    spec = cast("ModelSpec", Plain())
    method = MethodSettings(name="dkd", options=Options())
    return TeacherSignal(spec, module, method, 1.0, dataset=dataset, outputs=outputs)


def training(level: Level, views: int | None = None) -> Training:
    given = {"augment": level.value, "views": views, "seed": 1}
    return Training.model_validate(
        {"epochs": 4, "batch_size": 4, "lr": 0.1, "weight_decay": 0.0, **given}
    )


@pytest.mark.parametrize("level", list(Level))
def test_live_teacher_sees_exactly_what_the_student_sees(dataset: Dataset, level: Level) -> None:
    module = Sided().eval()
    teacher = make_teacher(signal(module), training(level))
    source = TrainBatches(dataset, batch_size=4, seed=1, level=level)
    network = raw_pixels(module, Plain())
    for batch in (batch for epoch in range(3) for batch in source.epoch(epoch)):
        logits = teacher.logits(batch)
        expected = network(batch.images.permute(0, 2, 3, 1).float())
        torch.testing.assert_close(logits, expected.detach(), atol=1e-4, rtol=1e-5)
        assert not logits.requires_grad
        assert not logits.is_inference()


@pytest.mark.parametrize(
    ("level", "views", "count"),
    [(Level.NONE, None, 1), (Level.FLIP, None, 2), (Level.LIGHT, 3, 3), (Level.STRONG, 2, 2)],
)
def test_recorded_logits_are_those_of_the_views_in_the_batch(
    dataset: Dataset, tmp_path: Path, level: Level, views: int | None, count: int
) -> None:
    module = Sided().eval()
    told: list[tuple[int, int, str]] = []
    write_logits(
        tmp_path,
        module,
        Plain(),
        images=AugmentedImages(dataset, Split.TRAIN, level=level, seed=1),
        num_views=count,
        progress=lambda *step: told.append(step),
    )
    assert told[-1] == (count * IMAGES, count * IMAGES, "views through the teacher")
    calls = module.calls
    teacher = make_teacher(signal(module, outputs=tmp_path), training(level, views))
    source = TrainBatches(dataset, batch_size=4, seed=1, level=level, views=views)
    batches = [batch for epoch in range(4) for batch in source.epoch(epoch)]
    logits = [teacher.logits(batch) for batch in batches]
    # Nothing is computed again.
    assert module.calls == calls
    assert {int(view) for batch in batches for view in batch.views} == set(range(count))
    network = raw_pixels(module, Plain())
    for batch, given in zip(batches, logits, strict=True):
        expected = network(batch.images.permute(0, 2, 3, 1).float())
        torch.testing.assert_close(given, expected.detach(), atol=1e-4, rtol=1e-5)


def test_teacher_of_another_input_sees_the_same_views_its_own_way(
    dataset: Dataset, tmp_path: Path
) -> None:
    # The teacher's pixels are the student's, each four times.
    images = dataset.images(Split.TRAIN).repeat(2, axis=1).repeat(2, axis=2)
    folder = tmp_path / "large"
    folder.mkdir()
    with (folder / IMAGES_FILE).open("wb") as file:
        write_images(file, list(images), images.shape)
    write_index(
        folder,
        task="classification",
        classes=dataset.classes,
        preprocess=Preprocess(2 * SIZE, 2 * SIZE, "stretch", "bilinear", 0),
        items={split: dataset.items(split) for split in Split},
        image_sizes={split: [(SIZE, SIZE)] * len(dataset.items(split)) for split in Split},
    )

    class Mean(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Parameter(torch.zeros(1))
            self.sides: list[int] = []

        def forward(self, images: Tensor) -> Tensor:
            self.sides.append(images.shape[-1])
            return images.mean(dim=(2, 3))

    module = Mean().eval()
    source = TrainBatches(dataset, batch_size=4, seed=1, level=Level.FLIP)
    own = make_teacher(signal(module, Dataset.open(folder)), training(Level.FLIP))
    alike = make_teacher(signal(module), training(Level.FLIP))
    for batch in source.epoch(0):
        torch.testing.assert_close(own.logits(batch), alike.logits(batch), atol=1e-4, rtol=1e-4)
    assert set(module.sides) == {SIZE, 2 * SIZE}
