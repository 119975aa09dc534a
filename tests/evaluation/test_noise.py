from __future__ import annotations

import numpy as np
import pytest

from edgetl.evaluation.noise import max_error, snr_db


@pytest.mark.parametrize(
    ("after", "ratio_db", "error"),
    [
        # The signal is 25, the noise 0.25: a ratio of 100.
        pytest.param([[3.0, 4.5]], 20.0, 0.5, id="20 dB"),
        pytest.param([[3.0, 4.0]], 200.0, 0.0, id="no error at all"),
        pytest.param([[0.0, 0.0]], 0.0, 4.0, id="nothing left"),
        pytest.param([[3.0, np.nan]], -200.0, 1e30, id="no number"),
        pytest.param([[3.0, np.inf]], -200.0, 1e30, id="infinite"),
    ],
)
def test_noise_by_hand(after: list[list[float]], ratio_db: float, error: float) -> None:
    before, noisy = np.array([[3.0, 4.0]], np.float32), np.array(after, np.float32)
    assert snr_db(before, noisy) == ratio_db
    assert max_error(before, noisy) == error


def test_ratio_is_rounded_to_a_tenth_and_the_error_to_three_digits() -> None:
    # The signal is 1, the noise 1/3 squared: 20 log10(3) = 9.542 dB.
    before, after = np.array([1.0], np.float32), np.array([4 / 3], np.float32)
    assert snr_db(before, after) == 9.5
    assert max_error(before, after) == 0.333


def test_ratio_of_a_weak_signal_is_that_of_a_strong_one() -> None:
    # 1e-4 squared against 1e-5 squared: a ratio of 100.
    before, after = np.array([1e-4], np.float32), np.array([1.1e-4], np.float32)
    assert snr_db(before, after) == 20.0
    # No signal at all is taken for 1e-30, so that the ratio has a logarithm: -10 log10(1e30).
    assert snr_db(np.zeros(1, np.float32), np.ones(1, np.float32)) == -300.0


def test_empty_arrays_do_not_differ() -> None:
    assert max_error(np.zeros((0, 4), np.float32), np.zeros((0, 4), np.float32)) == 0.0
