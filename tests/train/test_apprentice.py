from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from edgetl.config.recipe import InputTable
from edgetl.data.dataset import Dataset
from edgetl.models import FAMILIES, ModelSpec
from edgetl.nn.boxes import Grid
from edgetl.nn.detection_distillation import answer_loss, channel_loss, correlation_loss
from edgetl.nn.yolox import RawDetections
from edgetl.train.apprentice import Imitation, imitation_loss, tapped, train_apprentice
from edgetl.train.detectors import DetectorBatch, Taught, box_loss, course
from edgetl.train.fit import Fitted, fit
from edgetl.train.options import DistillLoss, Training
from edgetl.train.tasks import Lesson
from edgetl.train.terms import Surroundings
from edgetl.types import Task

FAMILY = FAMILIES.load("mobilenet_v3_small_yolox")
TEACHER = FAMILIES.load("yolox_nano")
GRID = Grid.of(64, 64, FAMILY.strides)
ALL = {"label_weight": 1.0, "soft_weight": 1.0, "box_weight": 1.0, "feature_weight": 1.0}


def student() -> nn.Module:
    return FAMILY.build(width=0.25, num_classes=2, seed=0)


def lesson(method: str = "pkd", weights: Mapping[str, float] = ALL) -> Lesson:
    """Return a teacher of another family, with other channels and another normalisation."""
    spec = ModelSpec(
        task=Task.DETECTION,
        family="yolox_nano",
        width=0.25,
        classes=("bright", "dark"),
        mean=TEACHER.mean,
        std=TEACHER.std,
        input=InputTable(size=64, fit="stretch"),
    )
    module = TEACHER.build(width=0.25, num_classes=2, seed=1).eval()
    given = {"method": method, "temperature": 1.0, **weights}
    return Lesson(spec, module, DistillLoss.model_validate(given))


def training(**fields: object) -> Training:
    given: dict[str, object] = {"epochs": 2, "batch_size": 4, "lr": 0.001, "weight_decay": 0.05}
    return Training.model_validate({**given, "seed": 3, **fields})


def surroundings(checkpoint: Path | None = None, *, stop_at: int = 0) -> Surroundings:
    def step(done: int, total: int, text: str) -> None:
        del total, text
        if done == stop_at:
            raise KeyboardInterrupt

    return Surroundings(device="cpu", step=step, note=lambda _: None, checkpoint=checkpoint)


def taught(
    dataset: Dataset, given: Lesson, where: Surroundings | None = None, **fields: object
) -> Fitted:
    return train_apprentice(
        student(),
        FAMILY,
        training(**fields),
        dataset=dataset,
        surroundings=where or surroundings(),
        lesson=given,
    )


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    other = second.state_dict()
    return all(torch.equal(value, other[name]) for name, value in first.state_dict().items())


def answers(seed: int, photos: int = 2) -> tuple[RawDetections, tuple[Tensor, ...]]:
    """Return drawn answers for 64 px, and maps of 6 channels."""
    draw = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw)

    count = len(GRID.strides)
    raw = RawDetections(
        0.3 * noise(photos, count, 4), noise(photos, count, 1), noise(photos, count, 2)
    )
    return raw, tuple(noise(photos, 6, side, side) for side in (8, 4, 2))


def batch(*, with_teacher: bool = True) -> DetectorBatch:
    boxes = torch.tensor([[[20.0, 20.0, 16.0, 16.0]], [[40.0, 30.0, 24.0, 20.0]]])
    return DetectorBatch(
        torch.zeros(2, 3, 64, 64),
        boxes,
        torch.tensor([[0], [1]]),
        closing=False,
        taught=Taught(*answers(1)) if with_teacher else None,
    )


@pytest.mark.parametrize("method", ["pkd", "cwd"])
def test_loss_weighs_labels_answers_boxes_and_maps(method: str) -> None:
    raw, maps = answers(0)
    given = batch()
    assert given.taught is not None
    settings = DistillLoss.model_validate(
        {
            "method": method,
            "temperature": 2.0,
            "label_weight": 0.3,
            "soft_weight": 0.5,
            "box_weight": 0.7,
            "feature_weight": 0.9,
        }
    )

    found = imitation_loss(settings, FAMILY)(Imitation(raw, maps), given)

    soft, box = answer_loss(raw, given.taught.raw, GRID, temperature=2.0)
    pairs = list(zip(maps, given.taught.maps, strict=True))
    imitated = [
        correlation_loss(*pair) if method == "pkd" else channel_loss(*pair, 2.0) for pair in pairs
    ]
    expected = 0.3 * box_loss(FAMILY)(raw, given) + 0.5 * soft + 0.7 * box + 0.9 * sum(imitated) / 3
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_loss_without_a_teacher_in_the_batch_is_an_error() -> None:
    raw, maps = answers(0)

    with pytest.raises(ValueError, match="method 'pkd' needs batches that a teacher answered"):
        imitation_loss(lesson().loss, FAMILY)(Imitation(raw, maps), batch(with_teacher=False))


def test_tapped_module_answers_as_ever_and_keeps_no_hooks() -> None:
    module = student().eval()
    images = torch.rand(1, 3, 64, 64)

    raw, maps = tapped(module, FAMILY.taps, images)

    assert torch.equal(raw.classes, module(images).classes)
    assert [found.shape[2:] for found in maps] == [(8, 8), (4, 4), (2, 2)]
    assert not any(layer._forward_hooks for layer in module.modules())


def test_student_that_ignores_its_teacher_is_its_own_control(squares: Dataset) -> None:
    ignoring = lesson(weights={**dict.fromkeys(ALL, 0.0), "label_weight": 1.0})
    alone = fit(
        student(),
        course(squares, FAMILY, training()),
        training=training(),
        surroundings=surroundings(),
    )

    found = taught(squares, ignoring)

    assert same_weights(found.module, alone.module)
    assert [row.val_metric for row in found.rows] == [row.val_metric for row in alone.rows]


@pytest.mark.parametrize("part", ["soft_weight", "box_weight", "feature_weight"])
def test_each_part_of_the_lesson_changes_the_student_and_not_the_teacher(
    squares: Dataset, part: str
) -> None:
    labels_alone = {**dict.fromkeys(ALL, 0.0), "label_weight": 1.0}
    given = lesson(weights={**labels_alone, part: 1.0})
    if part == "box_weight":
        # A fresh teacher is confident nowhere.
        for name in ("head.obj_preds", "head.cls_preds"):
            for predictor in given.module.get_submodule(name).children():
                nn.init.constant_(predictor.get_parameter("bias"), 5.0)
    before = {name: value.clone() for name, value in given.module.state_dict().items()}

    found = taught(squares, given, epochs=1)

    assert isinstance(found.module, type(student()))
    untaught = taught(squares, lesson(weights=labels_alone), epochs=1)
    assert not same_weights(found.module, untaught.module)
    after = given.module.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_interrupted_apprentice_ends_with_the_same_bits(squares: Dataset, tmp_path: Path) -> None:
    whole = taught(squares, lesson(), augment="strong", mosaic=0.5)

    with pytest.raises(KeyboardInterrupt):
        taught(
            squares,
            lesson(),
            surroundings(tmp_path / "last.pt", stop_at=4),
            augment="strong",
            mosaic=0.5,
        )
    resumed = taught(
        squares, lesson(), surroundings(tmp_path / "last.pt"), augment="strong", mosaic=0.5
    )

    assert same_weights(whole.module, resumed.module)
    assert resumed.rows == whole.rows
