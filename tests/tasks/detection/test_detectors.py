from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from edgetl.data.box_batches import BoxBatch, plain_batches
from edgetl.data.dataset import Dataset
from edgetl.models import FAMILIES, as_detector
from edgetl.nn.boxes import Grid
from edgetl.nn.detection_loss import detection_loss
from edgetl.nn.yolox import RawDetections
from edgetl.tasks.detection.detectors import DetectorBatch, box_loss, detector_validator, setup
from edgetl.tasks.detection.training import DetectorTraining
from edgetl.train.fit import Fitted, fit
from edgetl.train.interfaces import LABELLED, RunContext
from edgetl.train.strategies import EVERYTHING, Part, Phase
from edgetl.types import Split

FAMILY = as_detector(FAMILIES.load("yolox_nano"))


def network() -> nn.Module:
    """Return a tiny detector whose statistics keep up with a training of a few steps."""
    module = FAMILY.build(width=0.25, num_classes=2, seed=0)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 0.3
    return module


class Oracle(nn.Module):
    """Answers the truth of one batch, at the location of stride 8 under each box's centre."""

    def __init__(self, given: BoxBatch) -> None:
        super().__init__()
        count = len(Grid.of(64, 64, FAMILY.strides).strides)
        self.offsets = nn.Parameter(torch.zeros(len(given.labels), count, 4))
        self.logits = torch.full((len(given.labels), count, 2), -20.0)
        for image, (boxes, labels) in enumerate(zip(given.boxes, given.labels, strict=True)):
            for (x0, y0, x1, y1), label in zip(boxes.tolist(), labels.tolist(), strict=True):
                if label >= 0:
                    x, y = (x0 + x1) / 16, (y0 + y1) / 16
                    place = int(y) * 8 + int(x)
                    self.offsets.data[image, place] = torch.tensor(
                        [x % 1, y % 1, math.log((x1 - x0) / 8), math.log((y1 - y0) / 8)]
                    )
                    self.logits[image, place, label] = 20.0

    def forward(self, images: Tensor) -> RawDetections:
        assert len(images) == len(self.offsets)
        return RawDetections(self.offsets, torch.full_like(self.logits[..., :1], 20.0), self.logits)


def training(**fields: object) -> DetectorTraining:
    given: dict[str, object] = {"epochs": 3, "batch_size": 4, "lr": 0.01, "weight_decay": 0.05}
    return DetectorTraining.model_validate({**given, "seed": 3, "augment": "light", **fields})


def phase(options: DetectorTraining, learns: Part = EVERYTHING) -> Phase:
    return Phase(name="full", learns=(learns,), training=options)


def run_context(
    checkpoint: Path | None = None, *, stop_at: int = 0, notes: list[str] | None = None
) -> RunContext:
    def step(done: int, total: int, text: str) -> None:
        del total, text
        if done == stop_at:
            raise KeyboardInterrupt

    said = notes if notes is not None else []
    return RunContext(device="cpu", step=step, note=said.append, checkpoint=checkpoint)


def fitted(dataset: Dataset, options: DetectorTraining, where: RunContext | None = None) -> Fitted:
    return fit(
        network(),
        setup(dataset, FAMILY, phase(options)),
        training=options,
        run_context=where or run_context(),
    )


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    other = second.state_dict()
    return all(torch.equal(value, other[name]) for name, value in first.state_dict().items())


def batches_of(dataset: Dataset, **fields: object) -> list[DetectorBatch]:
    return list(setup(dataset, FAMILY, phase(training(**fields))).streams[LABELLED].epoch(1))


def test_batches_are_normalised_images_with_centre_boxes(squares: Dataset) -> None:
    [batch] = batches_of(squares, augment="none", batch_size=12)

    assert batch.inputs.shape == (12, 3, 64, 64)
    # YOLOX takes pixels as they are.
    assert batch.inputs.max() == squares.images(Split.TRAIN).max()
    boxes = batch.boxes[batch.labels >= 0]
    assert (boxes[:, 2:] == 24).all()
    brightness = [
        batch.inputs[image, :, int(box[1]), int(box[0])].mean()
        for image, (boxes, labels) in enumerate(zip(batch.boxes, batch.labels, strict=True))
        for box in boxes[labels >= 0]
    ]
    dark = batch.labels[batch.labels >= 0].tolist()
    assert brightness == [20.0 if label else 240.0 for label in dark]


def test_sizes_change_with_their_boxes_where_that_is_wanted(squares: Dataset) -> None:
    batches = [
        batch
        for number in range(1, 9)
        for batch in setup(squares, FAMILY, phase(training(augment="none", multi_scale=True)))
        .streams[LABELLED]
        .epoch(number)
    ]

    assert {batch.inputs.shape[2] for batch in batches} == {32, 64, 96}
    for batch in batches:
        boxes = batch.boxes[batch.labels >= 0]
        torch.testing.assert_close(boxes[:, 2] * 64 / batch.inputs.shape[2], boxes[:, 2] * 0 + 24)


def test_loss_is_that_of_labelled_boxes_and_closing_adds_the_plain_distance(
    squares: Dataset,
) -> None:
    [batch] = batches_of(squares, augment="none", batch_size=12)
    [no_aug] = batches_of(squares, augment="none", batch_size=12, no_aug_epochs=3)
    raw = network().eval()(batch.inputs)
    grid = Grid.of(64, 64, FAMILY.strides)

    for given in (batch, no_aug):
        expected = detection_loss(raw, grid, given.boxes, given.labels, l1=given.no_aug).total
        assert box_loss(FAMILY)(raw, given).item() == pytest.approx(expected.item())
    assert (batch.no_aug, no_aug.no_aug) == (False, True)


def test_loss_of_the_exam_is_that_of_the_images_as_they_are(squares: Dataset) -> None:
    module = network().eval()
    validator = detector_validator(squares, FAMILY)
    assert validator is not None

    validation = validator.take(module)

    [(_, given)] = list(plain_batches(squares, Split.VAL, batch_size=4))
    boxes = torch.from_numpy(given.boxes)
    centred = torch.cat([(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]], 2)
    raw = module(torch.from_numpy(given.images).permute(0, 3, 1, 2).float())
    grid = Grid.of(64, 64, FAMILY.strides)
    loss = detection_loss(raw, grid, centred, torch.from_numpy(given.labels), l1=False)
    assert validation.loss == pytest.approx(loss.total.item(), rel=1e-5)
    assert (validator.metric, validator.title) == ("map", "mAP")


def test_exam_gives_full_marks_for_the_truth(squares: Dataset) -> None:
    [(_, given)] = list(plain_batches(squares, Split.VAL, batch_size=4))
    validator = detector_validator(squares, FAMILY)
    assert validator is not None

    assert validator.take(Oracle(given)).value == pytest.approx(1.0)


def test_training_makes_a_detector_better(squares: Dataset) -> None:
    result = fitted(squares, training(epochs=4, augment="none", ema=None))

    assert [row.epoch for row in result.rows] == [1, 2, 3, 4]
    assert result.rows[-1].train_loss < result.rows[0].train_loss - 0.5


@pytest.mark.parametrize("stop_at", [2, 5], ids=["first", "last"])
def test_training_interrupted_in_an_epoch_ends_with_the_same_bits(
    squares: Dataset, tmp_path: Path, stop_at: int
) -> None:
    # Everything that could forget something: mosaic, mixup, sizes, closing, average.
    options = training(augment="strong", mosaic=0.5, mixup=0.5, multi_scale=True, no_aug_epochs=1)
    whole = fitted(squares, options)
    notes: list[str] = []

    with pytest.raises(KeyboardInterrupt):
        fitted(squares, options, run_context(tmp_path / "last.pt", stop_at=stop_at))
    torch.randn(5)
    resumed = fitted(squares, options, run_context(tmp_path / "last.pt", notes=notes))

    assert same_weights(whole.module, resumed.module)
    assert resumed.rows == whole.rows
    finished = (stop_at - 1) // 3
    assert notes == (
        [f"training resumes after epoch {finished}, where it was interrupted"] if finished else []
    )


def test_head_alone_learns_where_the_rest_is_frozen(squares: Dataset) -> None:
    module, options = network(), training(epochs=1, ema=None)
    before = {name: value.clone() for name, value in module.state_dict().items()}

    fit(
        module,
        setup(squares, FAMILY, phase(options, Part(module=FAMILY.head))),
        training=options,
        run_context=run_context(),
    )

    after = module.state_dict()
    changed = {name for name, value in before.items() if not torch.equal(after[name], value)}
    assert changed
    assert all(name.startswith("head.") for name in changed)
    assert any(name.endswith("running_mean") for name in changed)
    assert all(parameter.requires_grad for parameter in module.parameters())


def test_without_validation_images_there_is_no_exam(
    squares: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(squares, "items", lambda _split: ())

    assert detector_validator(squares, FAMILY) is None
