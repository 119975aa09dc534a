from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from edgetl.nn.boxes import Grid
from edgetl.nn.detection_distillation import (
    FeatureAdapter,
    channel_loss,
    correlation_loss,
    prediction_loss,
)
from edgetl.nn.yolox import RawDetections

GRID = Grid.of(8, 24, (8,))


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def raw(
    scores: list[list[float]], offsets: list[list[float]] | None = None, *, sure: float = 60.0
) -> RawDetections:
    """Answers with these class probabilities at the three locations; objectness is about 1."""
    return RawDetections(
        torch.tensor([offsets or [[0.5, 0.5, 0.0, 0.0]] * 3]),
        torch.full((1, 3, 1), sure),
        torch.tensor([[[logit(score) for score in row] for row in scores]]),
    )


def divergence(of: float, to: float) -> float:
    """KL between two yes-or-no probabilities, by definition."""
    return of * math.log(of / to) + (1 - of) * math.log((1 - of) / (1 - to))


def test_scores_are_weighted_by_the_confidence_of_the_teacher() -> None:
    teacher = raw([[0.9, 0.2], [0.5, 0.3], [0.01, 0.01]])
    student = raw([[0.6, 0.2], [0.1, 0.4], [0.9, 0.9]])

    soft, _ = prediction_loss(student, teacher, GRID)

    expected = (
        0.9 * divergence(0.9, 0.6)
        + 0.5 * (divergence(0.5, 0.1) + divergence(0.3, 0.4))
        + 0.01 * 2 * divergence(0.01, 0.9)
    ) / (0.9 + 0.5 + 0.01)
    assert soft.item() == pytest.approx(expected, rel=1e-5)


def test_score_is_the_product_of_class_and_objectness() -> None:
    of_class = RawDetections(
        torch.zeros(1, 3, 4), torch.full((1, 3, 1), logit(0.5)), torch.full((1, 3, 2), logit(0.8))
    )

    soft, _ = prediction_loss(of_class, raw([[0.4, 0.4]] * 3), GRID)

    assert soft.item() == pytest.approx(0.0, abs=1e-6)


def test_temperature_softens_the_scores_and_keeps_the_size() -> None:
    teacher, student = raw([[0.9]] * 3), raw([[0.6]] * 3)

    soft, _ = prediction_loss(student, teacher, GRID, temperature=2.0)

    # A logit halved: p -> sqrt(p) / (sqrt(p) + sqrt(1 - p)), 0.9 -> 0.75 and 0.6 -> 0.5505.
    of, to = 0.75, math.sqrt(0.6) / (math.sqrt(0.6) + math.sqrt(0.4))
    assert soft.item() == pytest.approx(4 * divergence(of, to), rel=1e-4)


def test_boxes_count_where_the_teacher_is_confident() -> None:
    teacher = raw([[0.9], [0.6], [0.1]])
    # The first one 8 pixels to the right, its whole width: GIoU 0 - 0; the second equal; the third
    # elsewhere, but the teacher is not sure of it.
    student = raw([[0.5]] * 3, [[1.5, 0.5, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0], [9.0, 9.0, 1.0, 1.0]])

    _, box = prediction_loss(student, teacher, GRID)

    assert box.item() == pytest.approx(0.9 / (0.9 + 0.6), rel=1e-5)


def test_teacher_that_sees_nothing_teaches_next_to_nothing() -> None:
    teacher = RawDetections(
        torch.zeros(1, 3, 4), torch.full((1, 3, 1), -40.0), torch.zeros(1, 3, 2)
    )
    student = RawDetections(*(torch.randn(1, 3, count, requires_grad=True) for count in (4, 1, 2)))

    soft, box = prediction_loss(student, teacher, GRID)
    (soft + box).backward()

    assert soft.item() < 1e-12
    assert box.item() == 0.0
    assert student.classes.grad is not None
    assert student.classes.grad.abs().max() < 1e-12


@pytest.mark.parametrize("size", [1e2, 1e4])
def test_saturated_answers_give_numbers(size: float) -> None:
    values = torch.tensor([[[size], [-size], [0.0]]])
    teacher = RawDetections(torch.full((1, 3, 4), size), values, values.flip(1))
    student = RawDetections(
        *(part.clone().requires_grad_() for part in (-teacher.offsets, -values, values))
    )

    soft, box = prediction_loss(student, teacher, GRID)
    (soft + box).backward()

    assert soft.isfinite()
    assert box.isfinite()
    assert all(part.grad is not None and part.grad.isfinite().all() for part in student)


def test_no_gradient_flows_into_the_teacher() -> None:
    teacher, student = (
        RawDetections(*(part.requires_grad_() for part in raw([[0.9, 0.8]] * 3))) for _ in range(2)
    )
    maps, other = (torch.randn(2, 3, 4, 4, requires_grad=True) for _ in range(2))

    losses = (*prediction_loss(student, teacher, GRID), correlation_loss(maps, other))
    (sum(losses) + channel_loss(maps, other, 2.0)).backward()

    assert all(part.grad is None for part in teacher)
    assert other.grad is None
    assert student.classes.grad is not None
    assert maps.grad is not None


def test_predictions_for_other_classes_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"student \(1, 3, 1\) and teacher \(1, 3, 2\) must be predictions"
    ):
        prediction_loss(raw([[0.5]] * 3), raw([[0.5, 0.5]] * 3), GRID)


def test_correlation_loss_is_one_less_the_correlation_of_each_channel() -> None:
    student = torch.tensor([[[[1.0, 2.0, 4.0]], [[0.0, 1.0, 5.0]]]])
    teacher = torch.tensor([[[[2.0, 1.0, 3.0]], [[1.0, 0.0, -7.0]]]])

    # First channel: deviations (-4/3, -1/3, 5/3) and (0, -1, 1): r = 2 / sqrt(42 / 9 * 2).
    # Second: (-2, -1, 3) and (3, 2, -5): r = -23 / sqrt(14 * 38).
    first, second = 2 / math.sqrt(42 / 9 * 2), -23 / math.sqrt(14 * 38)
    expected = (1 - first + 1 - second) / 2
    assert correlation_loss(student, teacher).item() == pytest.approx(expected, rel=1e-5)


def test_correlation_is_taken_over_all_images_and_places() -> None:
    values = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0]
    one_image = torch.tensor(values).reshape(1, 1, 2, 4)
    two_images = torch.tensor(values).reshape(2, 1, 2, 2)
    line = torch.arange(8.0)

    assert correlation_loss(one_image, line.reshape(1, 1, 2, 4)).item() == pytest.approx(
        correlation_loss(two_images, line.reshape(2, 1, 2, 2)).item()
    )


def test_maps_that_differ_in_scale_and_shift_only_are_alike() -> None:
    maps = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    scale = torch.tensor([0.1, 1.0, 30.0]).reshape(1, 3, 1, 1)

    assert correlation_loss(maps, maps * scale + 7).item() == pytest.approx(0.0, abs=1e-5)
    assert correlation_loss(maps, -maps).item() == pytest.approx(2.0, rel=1e-4)


def test_flat_channels_give_numbers_and_finite_gradients() -> None:
    flat = torch.full((1, 2, 3, 3), 5.0, requires_grad=True)
    maps = torch.randn(1, 2, 3, 3, generator=torch.Generator().manual_seed(0))

    loss = correlation_loss(flat, maps)
    loss.backward()

    assert loss.item() == pytest.approx(0.5, rel=1e-4)
    assert correlation_loss(flat, flat).item() == 0.0
    assert flat.grad is not None
    assert flat.grad.isfinite().all()


def test_channel_loss_is_the_divergence_of_where_each_channel_looks() -> None:
    student = torch.tensor([[[[math.log(0.5), math.log(0.5)]], [[0.0, 0.0]]]])
    teacher = torch.tensor([[[[math.log(0.8), math.log(0.2)]], [[3.0, 3.0]]]])

    # The second channel looks everywhere alike in both, whatever its level.
    expected = (0.8 * math.log(0.8 / 0.5) + 0.2 * math.log(0.2 / 0.5)) / 2
    assert channel_loss(student, teacher, 1.0).item() == pytest.approx(expected, rel=1e-5)


def test_channel_loss_keeps_its_size_at_high_temperatures() -> None:
    student, teacher = torch.zeros(1, 1, 1, 2), torch.tensor([[[[1.0, -1.0]]]])

    # For a small difference d / T of two logits the divergence tends to d**2 / T**2 / 8.
    assert channel_loss(student, teacher, 100.0).item() == pytest.approx(4 / 8, rel=1e-3)


@pytest.mark.parametrize(
    "loss", [correlation_loss, lambda one, other: channel_loss(one, other, 1.0)]
)
def test_maps_of_another_shape_are_refused(loss: object) -> None:
    assert callable(loss)
    with pytest.raises(ValueError, match=r"student \(1, 2, 3, 3\) and teacher \(1, 3, 3, 3\) must"):
        loss(torch.zeros(1, 2, 3, 3), torch.zeros(1, 3, 3, 3))


def test_adapter_changes_channels_where_they_differ_and_is_drawn_from_its_seed() -> None:
    maps = [torch.randn(1, 4, 2, 2), torch.randn(1, 8, 1, 1)]
    before = torch.get_rng_state()
    first, second, other = (FeatureAdapter((4, 8), (6, 8), seed=seed) for seed in (1, 1, 2))

    adapted = first(maps)

    assert torch.equal(torch.get_rng_state(), before)
    assert [tuple(each.shape) for each in adapted] == [(1, 6, 2, 2), (1, 8, 1, 1)]
    assert adapted[1] is maps[1]
    assert weight(first).equal(weight(second))
    assert not weight(first).equal(weight(other))


def weight(adapter: FeatureAdapter) -> Tensor:
    conv = adapter.convs[0]
    assert isinstance(conv, nn.Conv2d)
    return conv.weight
