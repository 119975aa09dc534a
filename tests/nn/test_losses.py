from __future__ import annotations

import math

import pytest
import torch

from edgetl.nn.losses import balanced_class_weights, label_loss

LOGITS = torch.log(torch.tensor([[0.8, 0.2], [0.5, 0.5]]))
LABELS = torch.tensor([0, 1])


def test_label_loss_is_the_mean_negative_log_probability() -> None:
    expected = -(math.log(0.8) + math.log(0.5)) / 2

    assert label_loss(LOGITS, LABELS).item() == pytest.approx(expected, rel=1e-6)


def test_smoothing_gives_every_class_its_share_of_the_label() -> None:
    # Smoothing 0.2 over two classes: 0.9 for the own class, 0.1 for the other.
    first = -(0.9 * math.log(0.8) + 0.1 * math.log(0.2))
    second = -math.log(0.5)

    loss = label_loss(LOGITS, LABELS, smoothing=0.2).item()

    assert loss == pytest.approx((first + second) / 2, rel=1e-6)


def test_class_weights_scale_samples_and_the_sum_is_divided_by_their_number() -> None:
    weights = torch.tensor([3.0, 0.5])
    expected = -(3.0 * math.log(0.8) + 0.5 * math.log(0.5)) / 2

    loss = label_loss(LOGITS, LABELS, class_weights=weights).item()

    assert loss == pytest.approx(expected, rel=1e-6)


def test_labels_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"labels \(3,\) must have one class for each row"):
        label_loss(LOGITS, torch.tensor([0, 1, 0]))


def test_balanced_weights_make_classes_pull_alike_and_average_to_one() -> None:
    counts = torch.tensor([1, 3])

    weights = balanced_class_weights(counts)

    assert weights.tolist() == pytest.approx([2.0, 2 / 3])
    assert (weights * counts).sum().item() / 4 == pytest.approx(1.0)


def test_class_without_samples_has_no_balanced_weight() -> None:
    with pytest.raises(ValueError, match=r"counts \[2, 0\] must be at least 1"):
        balanced_class_weights(torch.tensor([2, 0]))
