"""Least squares without negative unknowns, by Lawson and Hanson, 1974, chapter 23.

Here, because SciPy, which has it too, is larger than everything else that edgetl needs without its
extras. Letters: R rows, T unknowns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MOST_ROUNDS = 30
"""Per unknown; a few are usual."""

Floats = NDArray[np.float64]


def nonnegative_least_squares(table: Floats, right_side: Floats) -> Floats:
    """Return the unknowns of at least zero that fit ``table @ unknowns = right_side`` best.

    Args:
        table: Shape ``(R, T)``, of rank T.
        right_side: Shape ``(R,)``.

    Returns:
        Shape ``(T,)``.

    Raises:
        ValueError: If it does not end, because columns of `table` depend on each other.
    """
    num = table.shape[1]
    tolerance = 10 * np.finfo(np.float64).eps * float(np.abs(table).sum()) * max(table.shape)
    unknowns = np.zeros(num)
    free = np.zeros(num, bool)
    for _ in range(_MOST_ROUNDS * num):
        # How fast the error falls if an unknown that is held at zero grows.
        gains = np.where(free, -np.inf, table.T @ (right_side - table @ unknowns))
        best = int(np.argmax(gains))
        if gains[best] <= tolerance:
            return unknowns
        free[best] = True
        unknowns = _fit_free(table, right_side, unknowns, free)
    raise ValueError("the least squares do not end; columns of the table depend on each other")


def _fit_free(table: Floats, right_side: Floats, start: Floats, free: NDArray[np.bool_]) -> Floats:
    """Return the best fit of the `free` unknowns, from which those that would fall below zero go.

    Args:
        table: Shape ``(R, T)``.
        right_side: Shape ``(R,)``.
        start: Unknowns of at least zero, shape ``(T,)``.
        free: Shape ``(T,)``; changed.
    """
    current = start
    while True:
        fitted = np.zeros_like(current)
        fitted[free] = np.linalg.lstsq(table[:, free], right_side, rcond=None)[0]
        below = free & (fitted <= 0.0)
        if not below.any():
            return fitted
        # Go towards the fit until the first unknown reaches zero, and hold it there.
        shares = current[below] / (current[below] - fitted[below])
        share = float(shares.min())
        current = current + share * (fitted - current)
        free[np.flatnonzero(below)[shares <= share]] = False
        current[~free] = 0.0
