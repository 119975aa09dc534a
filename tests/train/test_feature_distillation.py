from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from edgetl.config.recipe import InputTable
from edgetl.data.dataset import Dataset
from edgetl.models import FAMILIES, ModelSpec, as_detector
from edgetl.nn.boxes import Grid
from edgetl.nn.detection_distillation import channel_loss, correlation_loss, prediction_loss
from edgetl.nn.yolox import RawDetections
from edgetl.train.detectors import DetectorBatch, TeacherOutputs, box_loss, setup
from edgetl.train.feature_distillation import (
    StudentOutputs,
    feature_distillation_loss,
    forward_with_features,
    train_with_features,
)
from edgetl.train.fit import Fitted, fit
from edgetl.train.interfaces import RunContext
from edgetl.train.options import DistillLoss, Training
from edgetl.train.tasks import TeacherSignal

FAMILY = as_detector(FAMILIES.load("mobilenet_v3_small_yolox"))
TEACHER = as_detector(FAMILIES.load("yolox_nano"))
GRID = Grid.of(64, 64, FAMILY.strides)
ALL = {"label_weight": 1.0, "soft_weight": 1.0, "box_weight": 1.0, "feature_weight": 1.0}


def student() -> nn.Module:
    return FAMILY.build(width=0.25, num_classes=2, seed=0)


def teacher_signal(method: str = "pkd", weights: Mapping[str, float] = ALL) -> TeacherSignal:
    """Return a teacher of another family, with other channels and another normalisation."""
    spec = ModelSpec.of(
        "yolox_nano",
        width=0.25,
        classes=("bright", "dark"),
        image_input=InputTable(size=64, fit="stretch"),
    )
    module = TEACHER.build(width=0.25, num_classes=2, seed=1).eval()
    given = {"method": method, "temperature": 1.0, **weights}
    return TeacherSignal(spec, module, DistillLoss.model_validate(given))


def training(**fields: object) -> Training:
    given: dict[str, object] = {"epochs": 2, "batch_size": 4, "lr": 0.001, "weight_decay": 0.05}
    return Training.model_validate({**given, "seed": 3, **fields})


def run_context(checkpoint: Path | None = None, *, stop_at: int = 0) -> RunContext:
    def step(done: int, total: int, text: str) -> None:
        del total, text
        if done == stop_at:
            raise KeyboardInterrupt

    return RunContext(device="cpu", step=step, note=lambda _: None, checkpoint=checkpoint)


def teacher_outputs(
    dataset: Dataset, given: TeacherSignal, where: RunContext | None = None, **fields: object
) -> Fitted:
    return train_with_features(
        student(),
        FAMILY,
        training(**fields),
        dataset=dataset,
        run_context=where or run_context(),
        teacher_signal=given,
    )


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    other = second.state_dict()
    return all(torch.equal(value, other[name]) for name, value in first.state_dict().items())


def predictions(seed: int, images: int = 2) -> tuple[RawDetections, tuple[Tensor, ...]]:
    """Return drawn answers for 64 px, and maps of 6 channels."""
    draw = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw)

    count = len(GRID.strides)
    raw = RawDetections(
        0.3 * noise(images, count, 4), noise(images, count, 1), noise(images, count, 2)
    )
    return raw, tuple(noise(images, 6, side, side) for side in (8, 4, 2))


def batch(*, with_teacher: bool = True) -> DetectorBatch:
    boxes = torch.tensor([[[20.0, 20.0, 16.0, 16.0]], [[40.0, 30.0, 24.0, 20.0]]])
    return DetectorBatch(
        torch.zeros(2, 3, 64, 64),
        boxes,
        torch.tensor([[0], [1]]),
        no_aug=False,
        teacher_outputs=TeacherOutputs(*predictions(1)) if with_teacher else None,
    )


@pytest.mark.parametrize("method", ["pkd", "cwd"])
def test_loss_weighs_labels_answers_boxes_and_maps(method: str) -> None:
    raw, maps = predictions(0)
    given = batch()
    assert given.teacher_outputs is not None
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

    found = feature_distillation_loss(settings, FAMILY)(StudentOutputs(raw, maps), given)

    soft, box = prediction_loss(raw, given.teacher_outputs.raw, GRID, temperature=2.0)
    pairs = list(zip(maps, given.teacher_outputs.maps, strict=True))
    imitated = [
        correlation_loss(*pair) if method == "pkd" else channel_loss(*pair, 2.0) for pair in pairs
    ]
    expected = 0.3 * box_loss(FAMILY)(raw, given) + 0.5 * soft + 0.7 * box + 0.9 * sum(imitated) / 3
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_loss_without_a_teacher_in_the_batch_is_an_error() -> None:
    raw, maps = predictions(0)

    with pytest.raises(ValueError, match="method 'pkd' needs batches that a teacher answered"):
        feature_distillation_loss(teacher_signal().loss, FAMILY)(
            StudentOutputs(raw, maps), batch(with_teacher=False)
        )


def test_tapped_module_answers_as_ever_and_keeps_no_hooks() -> None:
    module = student().eval()
    images = torch.rand(1, 3, 64, 64)

    raw, maps = forward_with_features(module, FAMILY.feature_layers, images)

    assert torch.equal(raw.classes, module(images).classes)
    assert [found.shape[2:] for found in maps] == [(8, 8), (4, 4), (2, 2)]
    assert not any(layer._forward_hooks for layer in module.modules())


def test_student_that_ignores_its_teacher_is_its_own_control(squares: Dataset) -> None:
    ignoring = teacher_signal(weights={**dict.fromkeys(ALL, 0.0), "label_weight": 1.0})
    alone = fit(
        student(),
        setup(squares, FAMILY, training()),
        training=training(),
        run_context=run_context(),
    )

    found = teacher_outputs(squares, ignoring)

    assert same_weights(found.module, alone.module)
    assert [row.val_metric for row in found.rows] == [row.val_metric for row in alone.rows]


@pytest.mark.parametrize("part", ["soft_weight", "box_weight", "feature_weight"])
def test_each_part_of_the_lesson_changes_the_student_and_not_the_teacher(
    squares: Dataset, part: str
) -> None:
    labels_alone = {**dict.fromkeys(ALL, 0.0), "label_weight": 1.0}
    given = teacher_signal(weights={**labels_alone, part: 1.0})
    if part == "box_weight":
        # A fresh teacher is confident nowhere.
        for name in ("head.obj_preds", "head.cls_preds"):
            for predictor in given.module.get_submodule(name).children():
                nn.init.constant_(predictor.get_parameter("bias"), 5.0)
    before = {name: value.clone() for name, value in given.module.state_dict().items()}

    found = teacher_outputs(squares, given, epochs=1)

    assert isinstance(found.module, type(student()))
    untaught = teacher_outputs(squares, teacher_signal(weights=labels_alone), epochs=1)
    assert not same_weights(found.module, untaught.module)
    after = given.module.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_interrupted_apprentice_ends_with_the_same_bits(squares: Dataset, tmp_path: Path) -> None:
    whole = teacher_outputs(squares, teacher_signal(), augment="strong", mosaic=0.5)

    with pytest.raises(KeyboardInterrupt):
        teacher_outputs(
            squares,
            teacher_signal(),
            run_context(tmp_path / "last.pt", stop_at=4),
            augment="strong",
            mosaic=0.5,
        )
    resumed = teacher_outputs(
        squares, teacher_signal(), run_context(tmp_path / "last.pt"), augment="strong", mosaic=0.5
    )

    assert same_weights(whole.module, resumed.module)
    assert resumed.rows == whole.rows
