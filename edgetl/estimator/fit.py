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

COVERAGE = 0.9
"""Share of networks that a band is made for."""

_LANES = (1, 4, 8, 16)
_RIDGES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
"""What it costs a price to differ from the usual one by that price: so many squared relative errors
of one network. Without it, two terms that always come together could take any prices."""
_NS_PER_MS = 1e6

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Prices:
    """What a fit found."""

    ns: dict[str, float]
    """Of each term of `edgetl.estimator.cost.USUAL_NS`."""
    lane: int
    fitted_ms: tuple[float, ...]
    """Of each network, by prices that it took part in."""
    left_out_ms: tuple[float, ...]
    """Of each network, by prices of all the others."""
    band: float
    """Factor that `COVERAGE` of the networks, each left out of the fit, were off at most."""


def fit(networks: Sequence[Sequence[Operation]], times_ms: Sequence[float]) -> Prices:
    """Return the prices that explain `times_ms` best.

    How channels are grouped, and how far prices may be from the usual ones, is what predicts each
    network best from all others.

    Args:
        networks: Operations of each of at least three networks.
        times_ms: The time of each, above zero.

    Raises:
        ValueError: If there are fewer than three networks, or not one time for each.
    """
    if len(networks) < 3 or len(networks) != len(times_ms):  # noqa: PLR2004 - one is left out
        raise ValueError(f"{len(networks)} networks and {len(times_ms)} times cannot be fitted")
    times_ns = np.array(times_ms) * _NS_PER_MS
    tables = {lane: _table(networks, lane) for lane in _LANES}
    tried = [
        (_left_out(tables[lane], times_ns, ridge), lane, ridge)
        for lane, ridge in itertools.product(_LANES, _RIDGES)
    ]
    dropped, lane, ridge = min(tried, key=lambda each: _spread(each[0], times_ns))
    prices = solve(tables[lane], times_ns, ridge)
    return Prices(
        ns=dict(zip(USUAL_NS, prices.tolist(), strict=True)),
        lane=lane,
        fitted_ms=tuple((tables[lane] @ prices / _NS_PER_MS).tolist()),
        left_out_ms=tuple((dropped / _NS_PER_MS).tolist()),
        band=band(dropped / times_ns),
    )


def price_ms(operations: Sequence[Operation], ns: Mapping[str, float], lane: int) -> float:
    """Return the time of a network by prices, milliseconds; nothing for what has no price."""
    found = amounts(operations, lane)
    return sum(amount * ns.get(term, 0.0) for term, amount in found.items()) / _NS_PER_MS


def band(ratios: Floats) -> float:
    """Return the factor that `COVERAGE` of `ratios` and of one more like them stay within.

    The least factor f, so that 1/f to f holds the share ``COVERAGE (N + 1) / N`` of them, or all.
    """
    off = np.sort(np.abs(np.log(ratios)))
    rank = min(len(off), math.ceil(COVERAGE * (len(off) + 1)))
    return float(np.exp(off[rank - 1]))


def solve(table: Floats, times_ns: Floats, ridge: float) -> Floats:
    """Return prices, shape ``(T,)``, nanoseconds, none below zero.

    Args:
        table: Amounts, shape ``(N, T)``.
        times_ns: Shape ``(N,)``, above zero.
        ridge: See `_RIDGES`.
    """
    from scipy.optimize import nnls

    usual = np.array(list(USUAL_NS.values()))
    usual = usual * np.median(times_ns / (table @ usual))
    # In units of the usual price, so that all unknowns are about one.
    rows = np.vstack([table * usual / times_ns[:, None], math.sqrt(ridge) * np.eye(len(usual))])
    wanted = np.concatenate([np.ones(len(times_ns)), np.full(len(usual), math.sqrt(ridge))])
    prices: Floats = nnls(rows, wanted)[0] * usual
    return prices


def _table(networks: Sequence[Sequence[Operation]], lane: int) -> Floats:
    return np.array([list(amounts(operations, lane).values()) for operations in networks])


def _left_out(table: Floats, times_ns: Floats, ridge: float) -> Floats:
    found = np.empty(len(times_ns))
    for i in range(len(times_ns)):
        others = np.arange(len(times_ns)) != i
        found[i] = table[i] @ solve(table[others], times_ns[others], ridge)
    return found


def _spread(predicted: Floats, times_ns: Floats) -> float:
    return float(np.mean(np.log(predicted / times_ns) ** 2))
