"""Describe a network by amounts of work, each of which has a price.

The time of a network is modelled as a sum: for each kind of operation the number of its
multiplications, of the values that it moves and of its calls, each times a price that is fitted to
the suite.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from edgetl.estimator.graph import Kind, Operation

BASE = "inference"
"""Cost of every inference, however small the network."""

_CONVOLUTIONS = (Kind.DENSE, Kind.POINTWISE, Kind.DEPTHWISE)
_FEW = 4
"""An image's channels are not padded: engines have special kernels for the first layer."""

USUAL_NS: Mapping[str, float] = {
    "dense multiplications": 0.03,
    "dense values": 0.3,
    "pointwise multiplications": 0.03,
    "pointwise values": 0.2,
    "depthwise multiplications": 0.06,
    "depthwise values": 0.3,
    "convolution weights": 0.1,
    "linear weights": 0.1,
    "activation values": 0.6,
    "hard activation values": 0.8,
    "arithmetic values": 0.4,
    "broadcast values": 6.0,
    "clip values": 0.2,
    "move values": 0.6,
    "pool values": 2.5,
    "reduce values": 0.5,
    "convert values": 0.5,
    "weighted calls": 1200.0,
    "other calls": 700.0,
    BASE: 5000.0,
}
"""Terms and their typical prices on a core of a small computer, on the high side, nanoseconds.

Only the ratios matter: the suite determines the level, and every price that it has enough data for.
With little data, a price falls from here to zero more easily than it rises several times over.
"""


def amounts(operations: Iterable[Operation], lane: int) -> dict[str, float]:
    """Return the amount of each term of `USUAL_NS`.

    Args:
        operations: Operations of one network.
        lane: Size of the groups in which channels are computed; the last one may be part empty.
    """
    totals = dict.fromkeys(USUAL_NS, 0.0)
    totals[BASE] = 1.0
    for operation in operations:
        kind = operation.kind
        totals["weighted calls" if operation.macs else "other calls"] += 1
        if kind in _CONVOLUTIONS:
            totals[f"{kind} multiplications"] += operation.macs * _padding(operation, lane)
            totals[f"{kind} values"] += operation.read + operation.written
            totals["convolution weights"] += operation.weights
        elif kind is Kind.LINEAR:
            totals["linear weights"] += operation.weights
        elif kind is Kind.REDUCE:
            totals["reduce values"] += operation.read
        else:
            totals[f"{kind} values"] += operation.written
    return totals


def size(operation: Operation) -> int:
    """Return the size by which an operation is compared with those that were timed."""
    return max(operation.macs, operation.read, operation.written)


def _padding(operation: Operation, lane: int) -> float:
    """Return the factor by which grouping the channels increases the work."""
    factor = 1.0
    for channels in operation.channels:
        if channels >= _FEW:
            factor *= -(-channels // lane) * lane / channels
    return factor
