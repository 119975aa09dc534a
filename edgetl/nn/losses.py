"""Losses on labels. Letters: N batch, K classes."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the name the field knows
from torch import Tensor


def label_loss(
    logits: Tensor, labels: Tensor, *, smoothing: float = 0.0, class_weights: Tensor | None = None
) -> Tensor:
    """Return the cross entropy against smoothed labels, weighted by the class of each sample.

    The label of a sample is `1 - smoothing` for its class plus `smoothing / K` for every class
    (Szegedy et al. 2016, section 7, https://arxiv.org/abs/1512.00567). The sum is divided by N, not
    by the weights that happen to be in the batch: batches are unbiased samples of the whole set.

    Args:
        logits: Shape `(N, K)`, any float dtype; computed in float32.
        labels: Shape `(N,)`, int64 in 0..K-1.
        smoothing: In [0, 1).
        class_weights: Shape `(K,)`, float32; None for equal weights.

    Returns:
        A scalar, in nats.

    Raises:
        ValueError: If there is not one label per row; broadcasting would hide it.
    """
    if labels.shape != logits.shape[:1]:
        raise ValueError(
            f"labels {tuple(labels.shape)} must have one class for each row of "
            f"logits {tuple(logits.shape)}"
        )
    losses = F.cross_entropy(logits.float(), labels, label_smoothing=smoothing, reduction="none")
    if class_weights is not None:
        losses = losses * class_weights[labels]
    return losses.mean()


def balanced_class_weights(counts: Tensor) -> Tensor:
    """Return one weight per class so that all classes contribute equally: `N / (K * count)`.

    The mean weight over the samples is 1, so that the learning rate need not change.

    Args:
        counts: Shape `(K,)`, samples per class, each at least 1.

    Raises:
        ValueError: If a class has no sample; its weight would be infinite.
    """
    if bool((counts < 1).any()):
        raise ValueError(f"counts {counts.tolist()} must be at least 1 for every class")
    totals = counts.to(torch.float32)
    return totals.sum() / (len(totals) * totals)
