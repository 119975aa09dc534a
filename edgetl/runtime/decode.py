"""From logits to probabilities and the top k classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return probabilities along the last axis.

    Computed in float64 with the largest logit subtracted, so that no exponential overflows.

    Args:
        logits: Shape ``(..., K)``, finite.
    """
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    probabilities: NDArray[np.float64] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return probabilities.astype(np.float32)


def top_k(scores: NDArray[np.float32], count: int) -> list[int]:
    """Return the indices of the `count` largest scores, largest first, ties by lower index.

    Args:
        scores: Shape ``(K,)``.
        count: If larger than K, all are returned.
    """
    return [int(index) for index in np.argsort(-scores, kind="stable")[:count]]
