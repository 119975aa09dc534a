"""What a network is made of, as amounts that each have a price.

The time of a network is taken as a sum: for each kind of operation its multiplications, the values
it moves and its calls, each times a price that is fitted to the suite.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from edgetl.estimator.graph import Kind, Operation

BASE = "inference"
"""What every inference costs, however small the network."""

_CONVOLUTIONS = (Kind.DENSE, Kind.POINTWISE, Kind.DEPTHWISE)
_FEW = 4
"""Channels of a picture are not padded: engines have kernels of their own for the first layer."""

USUAL_NS: Mapping[str, float] = {
    "dense multiplications": 0.03,
    "dense values": 0.3,
    "pointwise multiplications": 0.03,
    "pointwise values": 0.2,
    "depthwise multiplications": 0.06,
    "depthwise values": 0.3,
    "convolution weights": 0.1,
    "linear weights": 0.1,
    "curve values": 0.6,
    "hard curve values": 0.8,
    "arithmetic values": 0.4,
    "short rows values": 6.0,
    "clamp values": 0.2,
    "move values": 0.6,
    "pool values": 2.5,
    "reduce values": 0.5,
    "convert values": 0.5,
    "weighted calls": 1200.0,
    "other calls": 700.0,
    BASE: 5000.0,
}
"""Terms, and what each costs on a core of a small computer, rather more than less. Only the ratios
matter: the suite sets the level, and every price for which it has evidence; where it has little, a
price falls from here to nothing more easily than it rises to several times as much."""


def amounts(operations: Iterable[Operation], lane: int) -> dict[str, float]:
    """Return how much of each term of `USUAL_NS` there is.

    Args:
        operations: Of one network.
        lane: Channels are computed in groups of so many; the rest of the last group is wasted.
    """
    found = dict.fromkeys(USUAL_NS, 0.0)
    found[BASE] = 1.0
    for operation in operations:
        kind = operation.kind
        found["weighted calls" if operation.macs else "other calls"] += 1
        if kind in _CONVOLUTIONS:
            found[f"{kind} multiplications"] += operation.macs * _padding(operation, lane)
            found[f"{kind} values"] += operation.read + operation.written
            found["convolution weights"] += operation.weights
        elif kind is Kind.LINEAR:
            found["linear weights"] += operation.weights
        elif kind is Kind.REDUCE:
            found["reduce values"] += operation.read
        else:
            found[f"{kind} values"] += operation.written
    return found


def size(operation: Operation) -> int:
    """Return what is compared to tell an operation larger than all that were timed."""
    return max(operation.macs, operation.read, operation.written)


def _padding(operation: Operation, lane: int) -> float:
    """Return how many times as much is computed because channels come in groups."""
    factor = 1.0
    for channels in operation.channels:
        if channels >= _FEW:
            factor *= -(-channels // lane) * lane / channels
    return factor
