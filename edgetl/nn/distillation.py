"""Losses between the logits of a student and of its teacher. Letters: N batch, K classes."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the name the field knows
from torch import Tensor


def soft_target_loss(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Return how far the student's softened classes are from the teacher's.

    The KL divergence from teacher to student, times `temperature ** 2` so that its gradient keeps
    the size of the hard-label term's when the temperature changes (Hinton et al. 2015, section 2,
    https://arxiv.org/abs/1503.02531). Zero when the logits agree up to a constant per row.

    Args:
        student_logits: Shape `(N, K)`, any float dtype; computed in float32.
        teacher_logits: Shape `(N, K)`; no gradient flows into it.
        temperature: Above zero; 1 leaves the classes as they are.

    Returns:
        A scalar, the mean over the `N` samples, in nats times `temperature ** 2`.

    Raises:
        ValueError: If the shapes differ; broadcasting would hide a swapped dimension.
    """
    _check_shapes(student_logits, teacher_logits)
    student = F.log_softmax(student_logits.float() / temperature, dim=-1)
    teacher = F.log_softmax(teacher_logits.detach().float() / temperature, dim=-1)
    return _divergences(teacher, student).mean() * temperature**2


def decoupled_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    alpha: float,
    beta: float,
) -> Tensor:
    """Return the decoupled distillation loss, `alpha * TCKD + beta * NCKD`.

    Zhao et al. 2022, https://arxiv.org/abs/2203.08679, sections 3.1 and 3.3. TCKD is the KL
    divergence between "this class or another" as teacher and student see it; NCKD the one between
    the other classes, normalised among themselves. Soft targets weight NCKD by the share `1 - p`
    that the teacher assigns to the other classes; here `beta` does not depend on the teacher's
    confidence. With two classes NCKD is zero, because there is only one other class.

    Args:
        student_logits: Shape `(N, K)`, any float dtype; computed in float32.
        teacher_logits: Shape `(N, K)`; no gradient flows into it.
        labels: Shape `(N,)`, int64: the target class of each sample.
        temperature: Above zero; softens the logits of both.
        alpha: Weight of TCKD.
        beta: Weight of NCKD.

    Returns:
        A scalar, the mean over the `N` samples, in nats times `temperature ** 2`.

    Raises:
        ValueError: If the shapes do not match.
    """
    target, others = decoupled_divergences(
        student_logits, teacher_logits, labels, temperature=temperature
    )
    return (alpha * target + beta * others).mean() * temperature**2


def decoupled_divergences(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, *, temperature: float
) -> tuple[Tensor, Tensor]:
    """Return TCKD and NCKD of each sample, both of shape `(N,)`; arguments as `decoupled_loss`."""
    _check_shapes(student_logits, teacher_logits)
    if labels.shape != student_logits.shape[:1]:
        raise ValueError(
            f"labels {tuple(labels.shape)} must have one class for each row of "
            f"student_logits {tuple(student_logits.shape)}"
        )
    student_binary, student_others = _decouple(student_logits.float() / temperature, labels)
    teacher_binary, teacher_others = _decouple(
        teacher_logits.detach().float() / temperature, labels
    )
    return (
        _divergences(teacher_binary, student_binary),
        _divergences(teacher_others, student_others),
    )


def _decouple(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return log probabilities: (target, not target) `(N, 2)`, and among the others `(N, K-1)`."""
    is_target = F.one_hot(labels, logits.shape[1]).bool()
    target = logits[is_target].unsqueeze(1)
    others = logits[~is_target].reshape(len(logits), -1)
    # The log-sum keeps "not target" exact even if 1 - p would round to zero.
    binary = torch.cat([target, others.logsumexp(dim=1, keepdim=True)], dim=1)
    return F.log_softmax(binary, dim=1), F.log_softmax(others, dim=1)


def _divergences(of: Tensor, to: Tensor) -> Tensor:
    return F.kl_div(to, of, reduction="none", log_target=True).sum(dim=-1)


def _check_shapes(student_logits: Tensor, teacher_logits: Tensor) -> None:
    if student_logits.shape != teacher_logits.shape:
        raise ValueError(
            f"student_logits {tuple(student_logits.shape)} and "
            f"teacher_logits {tuple(teacher_logits.shape)} must have the same shape"
        )
