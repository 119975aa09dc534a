from __future__ import annotations

import numpy as np
import pytest

from edgetl.runtime.decode import softmax, top_k


def test_softmax_by_hand() -> None:
    # exp(ln 1), exp(ln 2), exp(ln 5) add up to 8.
    logits = np.log(np.array([1.0, 2.0, 5.0])).astype(np.float32)
    assert softmax(logits) == pytest.approx([0.125, 0.25, 0.625], abs=1e-6)


def test_softmax_does_not_overflow() -> None:
    logits = np.array([[1e30, 1e30], [-1e30, 1e30]], np.float32)
    assert softmax(logits).tolist() == [[0.5, 0.5], [0.0, 1.0]]


def test_softmax_ignores_a_constant() -> None:
    logits = np.array([0.5, -1.0, 3.0], np.float32)
    assert softmax(logits + 64) == pytest.approx(softmax(logits), abs=1e-6)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        pytest.param(1, [1], id="best"),
        pytest.param(3, [1, 3, 0], id="ties by lower index"),
        pytest.param(9, [1, 3, 0, 2], id="more than there are"),
    ],
)
def test_leaders_are_stable(count: int, expected: list[int]) -> None:
    assert top_k(np.array([0.1, 0.4, 0.1, 0.4], np.float32), count) == expected
