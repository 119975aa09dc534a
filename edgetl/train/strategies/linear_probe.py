"""Train the head; the rest of the network is frozen."""

from __future__ import annotations

from edgetl.train.strategies import Phase, Strategy, StrategyContext
from edgetl.train.strategies._probe import ProbeOptions, probe


def _phases(options: ProbeOptions, context: StrategyContext) -> tuple[Phase, ...]:
    return (probe(options, context),)


STRATEGY = Strategy(version=1, tasks=None, options=ProbeOptions, phases=_phases)
