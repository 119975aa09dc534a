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


def test_empty_arrays_do_not_differ() -> None:
    assert max_error(np.zeros((0, 4), np.float32), np.zeros((0, 4), np.float32)) == 0.0
