from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from edgetl.nn.distillation import decoupled_divergences, decoupled_loss, soft_target_loss


def log(*rows: tuple[float, ...]) -> Tensor:
    return torch.log(torch.tensor(rows))


def drawn(rows: int = 16, classes: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(rows, classes, generator=generator) * 3
    teacher = torch.randn(rows, classes, generator=generator) * 3
    return student, teacher, torch.randint(classes, (rows,), generator=generator)


def test_soft_target_loss_is_the_divergence_from_teacher_to_student() -> None:
    expected = 0.5 * math.log(0.5 / 0.8) + 0.5 * math.log(0.5 / 0.2)

    loss = soft_target_loss(log((0.8, 0.2)), log((0.5, 0.5)), temperature=1.0)

    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_soft_target_loss_is_zero_for_logits_that_differ_by_a_constant() -> None:
    student, _, _ = drawn()

    assert soft_target_loss(student, student + 7.0, 4.0).item() == pytest.approx(0.0, abs=1e-5)


def test_size_of_the_soft_target_gradient_does_not_depend_on_a_high_temperature() -> None:
    sizes = []
    for temperature in (20.0, 80.0):
        student, teacher, _ = drawn()
        student.requires_grad_()
        loss = soft_target_loss(student, teacher, temperature)
        (gradient,) = torch.autograd.grad(loss, student)
        sizes.append(gradient.norm().item())

    assert sizes[0] == pytest.approx(sizes[1], rel=0.1)


def test_teacher_gets_no_gradient() -> None:
    student, teacher, labels = drawn()
    student.requires_grad_()
    teacher.requires_grad_()

    for loss in (
        soft_target_loss(student, teacher, 2.0),
        decoupled_loss(student, teacher, labels, temperature=2.0, alpha=1.0, beta=1.0),
    ):
        (gradient,) = torch.autograd.grad(loss, [teacher], allow_unused=True)
        assert gradient is None


def test_soft_target_loss_refuses_shapes_that_would_broadcast() -> None:
    with pytest.raises(ValueError, match=r"student_logits \(2, 1\) and teacher_logits \(1, 2\)"):
        soft_target_loss(torch.zeros(2, 1), torch.zeros(1, 2), 1.0)


def test_decoupled_parts_by_hand() -> None:
    student, teacher = log((0.5, 0.3, 0.2)), log((0.6, 0.1, 0.3))

    target, others = decoupled_divergences(student, teacher, torch.tensor([0]), temperature=1.0)

    assert target.item() == pytest.approx(
        0.6 * math.log(0.6 / 0.5) + 0.4 * math.log(0.4 / 0.5), rel=1e-5
    )
    # Among the others the teacher has 1/4 and 3/4, the student 3/5 and 2/5.
    assert others.item() == pytest.approx(
        0.25 * math.log(0.25 / 0.6) + 0.75 * math.log(0.75 / 0.4), rel=1e-5
    )


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_parts_with_the_teachers_own_weights_add_up_to_the_soft_target_loss(
    temperature: float,
) -> None:
    student, teacher, labels = drawn()

    target, others = decoupled_divergences(student, teacher, labels, temperature=temperature)

    left = 1.0 - torch.softmax(teacher / temperature, dim=1)[torch.arange(len(labels)), labels]
    expected = soft_target_loss(student, teacher, temperature)
    computed = (target + left * others).mean() * temperature**2
    assert computed.item() == pytest.approx(expected.item(), rel=1e-5)


def test_decoupled_loss_weighs_the_parts_and_squares_the_temperature() -> None:
    student, teacher, labels = drawn()
    target, others = decoupled_divergences(student, teacher, labels, temperature=3.0)

    loss = decoupled_loss(student, teacher, labels, temperature=3.0, alpha=2.0, beta=0.5)

    expected = 9.0 * (2.0 * target + 0.5 * others).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_two_classes_leave_nothing_among_the_others() -> None:
    student, teacher, labels = drawn(classes=2)

    _, others = decoupled_divergences(student, teacher, labels, temperature=1.0)

    assert others.abs().max().item() == 0.0


def test_teacher_that_is_sure_beyond_float_precision_gives_finite_gradients() -> None:
    student = torch.tensor([[0.0, 1.0, 2.0]], requires_grad=True)
    teacher = torch.tensor([[200.0, 0.0, 1.0]])

    loss = decoupled_loss(student, teacher, torch.tensor([0]), temperature=1.0, alpha=1, beta=1)
    (gradient,) = torch.autograd.grad(loss, student)

    assert math.isfinite(loss.item())
    assert bool(gradient.isfinite().all())


def test_decoupled_loss_refuses_labels_of_another_length() -> None:
    with pytest.raises(ValueError, match=r"labels \(1,\) must have one class for each row"):
        decoupled_loss(
            torch.zeros(2, 3),
            torch.zeros(2, 3),
            torch.tensor([0]),
            temperature=1.0,
            alpha=1.0,
            beta=1.0,
        )
