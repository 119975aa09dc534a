"""Prices from times: least squares on relative errors, no price below zero.

Letters: N networks, T terms.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgetl.estimator.cost import USUAL_NS, amounts
from edgetl.estimator.graph import Operation
from edgetl.estimator.nonnegative import nonnegative_least_squares

COVERAGE = 0.9
"""Share of networks that a band is meant to contain."""

_LANES = (1, 4, 8, 16)
_RIDGES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
"""Penalties for a price that differs from the usual one by its own size, in squared relative errors
of one network. Without a penalty, the prices of two terms that always occur together are
undetermined."""
_NS_PER_MS = 1e6

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Prices:
    """Result of a fit."""

    ns: dict[str, float]
    """Price of each term of `edgetl.estimator.cost.USUAL_NS`, nanoseconds."""
    lane: int
    fitted_ms: tuple[float, ...]
    """Time of each network by prices fitted to all networks."""
    held_out_ms: tuple[float, ...]
    """Time of each network by prices fitted to all the others."""
    band: float
    """Largest factor by which `COVERAGE` of the held-out predictions are off."""


def fit(networks: Sequence[Sequence[Operation]], times_ms: Sequence[float]) -> Prices:
    """Return the prices that fit `times_ms` best.

    The grouping of channels and the penalty are chosen by leave-one-out cross-validation.

    Args:
        networks: Operations of each of at least three networks.
        times_ms: Time of each network, above zero.

    Raises:
        ValueError: If there are fewer than three networks, or not one time for each.
    """
    if len(networks) < 3 or len(networks) != len(times_ms):  # noqa: PLR2004 - one is held out
        raise ValueError(f"{len(networks)} networks and {len(times_ms)} times cannot be fitted")
    times_ns = np.array(times_ms) * _NS_PER_MS
    tables = {lane: _table(networks, lane) for lane in _LANES}
    trials = [
        (_held_out(tables[lane], times_ns, ridge), lane, ridge)
        for lane, ridge in itertools.product(_LANES, _RIDGES)
    ]
    held_out, lane, ridge = min(trials, key=lambda each: _spread(each[0], times_ns))
    prices = solve(tables[lane], times_ns, ridge)
    return Prices(
        ns=dict(zip(USUAL_NS, prices.tolist(), strict=True)),
        lane=lane,
        fitted_ms=tuple((tables[lane] @ prices / _NS_PER_MS).tolist()),
        held_out_ms=tuple((held_out / _NS_PER_MS).tolist()),
        band=band(held_out / times_ns),
    )


def price_ms(operations: Sequence[Operation], ns: Mapping[str, float], lane: int) -> float:
    """Return the time of a network by prices, milliseconds; terms without a price cost nothing."""
    totals = amounts(operations, lane)
    return sum(amount * ns.get(term, 0.0) for term, amount in totals.items()) / _NS_PER_MS


def band(ratios: Floats) -> float:
    """Return a factor that contains `COVERAGE` of `ratios` and of a further one like them.

    The smallest factor f such that the share ``COVERAGE (N + 1) / N`` of the ratios, or all of
    them, lie between 1/f and f.
    """
    errors = np.sort(np.abs(np.log(ratios)))
    rank = min(len(errors), math.ceil(COVERAGE * (len(errors) + 1)))
    return float(np.exp(errors[rank - 1]))


def solve(table: Floats, times_ns: Floats, ridge: float) -> Floats:
    """Return prices, shape ``(T,)``, nanoseconds, none below zero.

    Args:
        table: Amounts, shape ``(N, T)``.
        times_ns: Shape ``(N,)``, above zero.
        ridge: See `_RIDGES`.
    """
    usual = np.array(list(USUAL_NS.values()))
    usual = usual * np.median(times_ns / (table @ usual))
    # In units of the usual price, so that all unknowns are close to one.
    rows = np.vstack([table * usual / times_ns[:, None], math.sqrt(ridge) * np.eye(len(usual))])
    right_side = np.concatenate([np.ones(len(times_ns)), np.full(len(usual), math.sqrt(ridge))])
    prices: Floats = nonnegative_least_squares(rows, right_side) * usual
    return prices


def _table(networks: Sequence[Sequence[Operation]], lane: int) -> Floats:
    return np.array([list(amounts(operations, lane).values()) for operations in networks])


def _held_out(table: Floats, times_ns: Floats, ridge: float) -> Floats:
    """Return the time of each network by the prices of all others, shape ``(N,)``."""
    predicted = np.empty(len(times_ns))
    for i in range(len(times_ns)):
        others = np.arange(len(times_ns)) != i
        predicted[i] = table[i] @ solve(table[others], times_ns[others], ridge)
    return predicted


def _spread(predicted: Floats, times_ns: Floats) -> float:
    return float(np.mean(np.log(predicted / times_ns) ** 2))
