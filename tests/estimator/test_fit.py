"""Known prices are recovered from networks with known amounts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from edgetl.estimator.cost import USUAL_NS
from edgetl.estimator.fit import band, fit, price_ms, solve
from edgetl.estimator.graph import Kind, Operation

_LAW = {
    "pointwise multiplications": 0.05,
    "depthwise multiplications": 0.4,
    "activation values": 2.0,
    "weighted calls": 3000.0,
    "other calls": 0.0,
    "inference": 20000.0,
}


def random_network(operation: Any, seed: int, lane_friendly: int = 16) -> list[Operation]:
    """Return the operations of a random network."""
    rng = np.random.default_rng(seed)
    operations = []
    for _ in range(int(rng.integers(3, 12))):
        kind = rng.choice([Kind.POINTWISE, Kind.DEPTHWISE, Kind.ACTIVATION])
        values = int(rng.integers(1_000, 50_000))
        if kind == Kind.ACTIVATION:
            operations.append(operation(Kind.ACTIVATION, read=values, written=values))
        else:
            channels = (lane_friendly * int(rng.integers(1, 9)),) * 2
            macs = values * int(rng.integers(5, 100))
            operations.append(operation(Kind(kind), macs=macs, channels=channels))
    return operations


def test_known_prices_predict_networks_that_were_not_fitted(operation: Any) -> None:
    networks = [random_network(operation, seed) for seed in range(20)]
    prices = fit(networks, [price_ms(each, _LAW, 1) for each in networks])

    for seed in range(100, 110):
        new = random_network(operation, seed)
        truth = price_ms(new, _LAW, 1)
        assert price_ms(new, prices.ns, prices.lane) == pytest.approx(truth, rel=0.03)
    assert prices.band < 1.05
    assert min(prices.ns.values()) >= 0.0


def test_grouping_of_channels_is_recovered(operation: Any) -> None:
    networks = [random_network(operation, seed, lane_friendly=3) for seed in range(20)]
    prices = fit(networks, [price_ms(each, _LAW, 16) for each in networks])
    assert prices.lane == 16


def test_held_out_time_does_not_depend_on_the_networks_own_time(operation: Any) -> None:
    networks = [random_network(operation, seed) for seed in range(20)]
    times = [price_ms(each, _LAW, 1) for each in networks]
    odd = fit(networks, [3 * times[0], *times[1:]])
    assert odd.held_out_ms[0] == pytest.approx(times[0], rel=0.1)


def test_price_of_an_unused_term_is_the_usual_one_at_the_machines_level() -> None:
    usual = np.array(list(USUAL_NS.values()))
    table = np.diag(np.arange(1.0, len(usual) + 1))
    table[-1] = 0.0
    table[:, -1] = 1.0
    prices = solve(table, 2 * table @ usual, ridge=0.01)
    assert prices == pytest.approx(2 * usual, rel=1e-6)


def test_no_price_is_negative() -> None:
    count = len(USUAL_NS)
    rng = np.random.default_rng(0)
    table = rng.uniform(0, 1, (30, count))
    times = table[:, 0] * 5.0 + 1.0
    assert solve(table, times, ridge=0.001).min() >= 0.0


def test_band_contains_nine_of_ten_and_one_more() -> None:
    # The 18th smallest of 19 factors: 0.9 * 20 = 18.
    ratios = np.exp(np.array([(-1) ** i * i / 100 for i in range(1, 20)]))
    assert band(ratios) == pytest.approx(math.exp(0.18))
    assert band(np.array([1.0, 0.5, 1.5])) == pytest.approx(2.0)


def test_too_few_networks_are_refused(operation: Any) -> None:
    with pytest.raises(ValueError, match="2 networks and 2 times cannot be fitted"):
        fit([random_network(operation, 0), random_network(operation, 1)], [1.0, 2.0])
