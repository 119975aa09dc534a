"""Train the head with the rest frozen, then the whole network.

A randomly initialised head would first distort the pretrained features (Kumar et al.
2022, https://arxiv.org/abs/2202.10054).
"""

from __future__ import annotations

from edgetl.train.strategies import EVERYTHING, Phase, Strategy, StrategyContext
from edgetl.train.strategies._probe import ProbeOptions, probe
from edgetl.train.task_training import Start


def _phases(options: ProbeOptions, context: StrategyContext) -> tuple[Phase, ...]:
    full = Phase(
        name="full",
        learns=(EVERYTHING,),
        training=context.training(Start.PROBED),
        revert_if_worse=True,
    )
    return (probe(options, context), full)


STRATEGY = Strategy(version=1, tasks=None, options=ProbeOptions, phases=_phases)
