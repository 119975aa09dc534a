"""Non-negative least squares: the best of all fits, found by trying every set of unknowns."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from edgetl.estimator.nonnegative import nonnegative_least_squares

Floats = NDArray[np.float64]


def _error(table: Floats, right_side: Floats, unknowns: Floats) -> float:
    return float(np.sum((table @ unknowns - right_side) ** 2))


def _best_of_all(table: Floats, right_side: Floats) -> Floats:
    """Return the best fit without a negative unknown among those of every set of unknowns."""
    num = table.shape[1]
    fits = [np.zeros(num)]
    for size in range(1, num + 1):
        for chosen in itertools.combinations(range(num), size):
            fit = np.zeros(num)
            fit[list(chosen)] = np.linalg.lstsq(table[:, list(chosen)], right_side, rcond=None)[0]
            if fit.min() >= 0.0:
                fits.append(fit)
    return min(fits, key=lambda fit: _error(table, right_side, fit))


@pytest.mark.parametrize("seed", range(40))
def test_no_other_fit_is_better(seed: int) -> None:
    rng = np.random.default_rng(seed)
    num = int(rng.integers(1, 7))
    table = rng.normal(0.2, 1.0, (int(rng.integers(num, 20)), num)) * rng.uniform(0.01, 10.0, num)
    right_side = rng.normal(0.5, 1.0, len(table))
    fit = nonnegative_least_squares(table, right_side)
    assert fit == pytest.approx(_best_of_all(table, right_side), rel=1e-8, abs=1e-10)
    assert fit.min() >= 0.0


def test_fit_without_negative_unknowns_is_the_plain_one() -> None:
    # By hand: x = 2, y = 3 solve all three equations.
    table = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    assert nonnegative_least_squares(table, np.array([2.0, 3.0, 5.0])) == pytest.approx([2.0, 3.0])


def test_unknown_that_would_be_negative_is_zero() -> None:
    # By hand: y = -1 without the bound; with y = 0 the best x is the mean of 1 and 2.
    table = np.array([[1.0, 1.0], [1.0, 0.0]])
    assert nonnegative_least_squares(table, np.array([1.0, 2.0])) == pytest.approx([1.5, 0.0])


def test_nothing_fits_better_than_zero() -> None:
    assert nonnegative_least_squares(np.eye(3), -np.ones(3)).tolist() == [0.0, 0.0, 0.0]
