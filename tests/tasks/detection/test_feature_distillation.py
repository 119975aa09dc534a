from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from edgetl.config.recipe import InputTable
from edgetl.data.dataset import Dataset
from edgetl.models import FAMILIES, ModelSpec, as_detector
from edgetl.nn.boxes import Grid
from edgetl.nn.detection_distillation import (
    FeatureAdapter,
    channel_loss,
    correlation_loss,
    prediction_loss,
)
from edgetl.nn.yolox import RawDetections
from edgetl.tasks.detection.detectors import DetectorBatch, TeacherOutputs, box_loss, setup
from edgetl.tasks.detection.feature_distillation import (
    DetectorDistillation,
    forward_with_features,
    setup_with_teacher,
)
from edgetl.tasks.detection.training import DetectorTraining
from edgetl.train.distillation import (
    METHODS,
    DistillationLoss,
    MethodSettings,
    Outputs,
    Signal,
    TeacherSignal,
)
from edgetl.train.fit import Fitted, fit
from edgetl.train.interfaces import LABELLED, RunContext
from edgetl.train.strategies import EVERYTHING, Phase

FAMILY = as_detector(FAMILIES.load("mobilenet_v3_small_yolox"))
TEACHER = as_detector(FAMILIES.load("yolox_nano"))
GRID = Grid.of(64, 64, FAMILY.strides)
WEIGHTS = ("soft_weight", "box_weight", "feature_weight")
LABELS_ALONE = dict.fromkeys(WEIGHTS, 0.0)


def student() -> nn.Module:
    return FAMILY.build(width=0.25, num_classes=2, seed=0)


def teacher_signal(
    method: str = "pkd", options: Mapping[str, float] | None = None, label_weight: float = 1.0
) -> TeacherSignal:
    """Return a teacher of another family, with other channels and another normalisation."""
    spec = ModelSpec.of(
        "yolox_nano",
        width=0.25,
        classes=("bright", "dark"),
        image_input=InputTable(size=64, fit="stretch"),
    )
    module = TEACHER.build(width=0.25, num_classes=2, seed=1).eval()
    own = METHODS.load(method).options.model_validate(options or {})
    return TeacherSignal(spec, module, MethodSettings(name=method, options=own), label_weight)


def phase(**fields: object) -> Phase:
    given: dict[str, object] = {"epochs": 2, "batch_size": 4, "lr": 0.001, "weight_decay": 0.05}
    training = DetectorTraining.model_validate({**given, "seed": 3, **fields})
    return Phase(name="student", learns=(EVERYTHING,), training=training)


def run_context(checkpoint: Path | None = None, *, stop_at: int = 0) -> RunContext:
    def step(done: int, total: int, text: str) -> None:
        del total, text
        if done == stop_at:
            raise KeyboardInterrupt

    return RunContext(device="cpu", step=step, note=lambda _: None, checkpoint=checkpoint)


def distilled(
    dataset: Dataset, given: TeacherSignal, where: RunContext | None = None, **fields: object
) -> Fitted:
    module, one_phase = student(), phase(**fields)
    with_teacher = setup_with_teacher(
        module, FAMILY, one_phase, dataset=dataset, teacher_signal=given
    )
    return fit(
        module, with_teacher, training=one_phase.training, run_context=where or run_context()
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


class Answering(nn.Module):
    """A student that computes given outputs, its maps in a submodule."""

    def __init__(self, raw: RawDetections, maps: tuple[Tensor, ...]) -> None:
        super().__init__()
        self.raw, self.maps = raw, maps
        layers = {name.replace(".", "_"): nn.Identity() for name in FAMILY.feature_layers}
        self.layers = nn.ModuleDict(layers)

    def get_submodule(self, target: str) -> nn.Module:
        return self.layers[target.replace(".", "_")] if target else self

    def forward(self, images: Tensor) -> RawDetections:
        del images
        for layer, map_ in zip(self.layers.values(), self.maps, strict=True):
            layer(map_)
        return self.raw


@pytest.mark.parametrize("method", ["pkd", "cwd"])
def test_loss_weighs_labels_scores_boxes_and_maps(method: str) -> None:
    raw, maps = predictions(0)
    given = batch()
    assert given.teacher_outputs is not None
    options = {"temperature": 2.0, "soft_weight": 0.5, "box_weight": 0.7, "feature_weight": 0.9}
    module = Answering(raw, maps)
    adapter = FeatureAdapter([6, 6, 6], [6, 6, 6], seed=0)
    objective = DetectorDistillation(
        DistillationLoss(teacher_signal(method, options, label_weight=0.3)), FAMILY, module, adapter
    )

    loss = objective.loss(module, {LABELLED: given})

    soft, box = prediction_loss(raw, given.teacher_outputs.raw, GRID, temperature=2.0)
    pairs = list(zip(maps, given.teacher_outputs.maps, strict=True))
    distances = [
        correlation_loss(*pair) if method == "pkd" else channel_loss(*pair, 2.0) for pair in pairs
    ]
    labels = box_loss(FAMILY)(raw, given)
    expected = 0.3 * labels + 0.5 * soft + 0.7 * box + 0.9 * sum(distances) / 3
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_loss_without_a_teacher_in_the_batch_is_an_error() -> None:
    objective = DetectorDistillation(
        DistillationLoss(teacher_signal()), FAMILY, student(), adapter=None
    )

    with pytest.raises(ValueError, match="distillation needs batches with teacher_outputs"):
        objective.loss(student(), {LABELLED: batch(with_teacher=False)})


def test_method_without_maps_needs_no_adapter_and_no_maps_of_the_teacher(
    squares: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scores_alone(
        options: object, own: Outputs, teacher: Outputs, labels: Tensor
    ) -> Iterator[Tensor]:
        del options, labels
        soft, _ = prediction_loss(own.detections.raw, teacher.detections.raw, own.detections.grid)
        yield soft

    plain = replace(METHODS.load("pkd"), signals=frozenset({Signal.DETECTIONS}), terms=scores_alone)
    signal = teacher_signal()
    known = SimpleNamespace(load=lambda _name: plain)
    monkeypatch.setattr("edgetl.train.distillation.METHODS", known)
    setup = setup_with_teacher(student(), FAMILY, phase(), dataset=squares, teacher_signal=signal)

    [first, *_] = setup.streams[LABELLED].epoch(1)

    assert setup.objective.modules == ()
    assert first.teacher_outputs is not None
    assert first.teacher_outputs.maps == ()
    assert torch.isfinite(setup.objective.loss(student(), {LABELLED: first}))


@pytest.mark.parametrize("whose", ["student", "teacher"])
def test_method_that_reads_maps_without_stating_them_fails_clearly(
    squares: Dataset, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    def undeclared_maps(
        options: object, own: Outputs, teacher: Outputs, labels: Tensor
    ) -> Iterator[Tensor]:
        del options, labels
        outputs = own if whose == "student" else teacher
        yield from (map_.mean() for map_ in outputs.features)

    hidden = replace(
        METHODS.load("pkd"), signals=frozenset({Signal.DETECTIONS}), terms=undeclared_maps
    )
    given = teacher_signal()
    known = SimpleNamespace(load=lambda _name: hidden)
    monkeypatch.setattr("edgetl.train.distillation.METHODS", known)

    with pytest.raises(
        ValueError, match=r"^there are no features; a method must state every signal it needs$"
    ):
        distilled(squares, given, epochs=1)


def test_capturing_changes_no_output_and_leaves_no_hooks() -> None:
    module = student().eval()
    images = torch.rand(1, 3, 64, 64)

    raw, maps = forward_with_features(module, FAMILY.feature_layers, images)

    assert torch.equal(raw.classes, module(images).classes)
    assert [each.shape[2:] for each in maps] == [(8, 8), (4, 4), (2, 2)]
    assert not any(layer._forward_hooks for layer in module.modules())


def test_student_that_ignores_its_teacher_is_its_own_control(squares: Dataset) -> None:
    one_phase = phase()
    alone = fit(
        student(),
        setup(squares, FAMILY, one_phase),
        training=one_phase.training,
        run_context=run_context(),
    )

    ignoring = distilled(squares, teacher_signal(options=LABELS_ALONE))

    assert same_weights(ignoring.module, alone.module)
    assert [row.val_metric for row in ignoring.rows] == [row.val_metric for row in alone.rows]


@pytest.mark.parametrize("part", WEIGHTS)
def test_each_part_of_the_loss_changes_the_student_and_not_the_teacher(
    squares: Dataset, part: str
) -> None:
    given = teacher_signal(options={**LABELS_ALONE, part: 1.0})
    if part == "box_weight":
        # An untrained teacher is confident nowhere.
        for name in ("head.obj_preds", "head.cls_preds"):
            for predictor in given.module.get_submodule(name).children():
                nn.init.constant_(predictor.get_parameter("bias"), 5.0)
    before = {name: value.clone() for name, value in given.module.state_dict().items()}

    result = distilled(squares, given, epochs=1)

    assert isinstance(result.module, type(student()))
    # The adapter is no part of the student.
    assert list(result.module.state_dict()) == list(student().state_dict())
    ignoring = distilled(squares, teacher_signal(options=LABELS_ALONE), epochs=1)
    assert not same_weights(result.module, ignoring.module)
    after = given.module.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_interrupted_distillation_ends_with_the_same_bits(squares: Dataset, tmp_path: Path) -> None:
    def attempt(where: RunContext | None = None) -> Fitted:
        return distilled(squares, teacher_signal(), where, augment="strong", mosaic=0.5)

    whole = attempt()

    with pytest.raises(KeyboardInterrupt):
        attempt(run_context(tmp_path / "last.pt", stop_at=4))
    resumed = attempt(run_context(tmp_path / "last.pt"))

    assert same_weights(whole.module, resumed.module)
    assert resumed.rows == whole.rows
