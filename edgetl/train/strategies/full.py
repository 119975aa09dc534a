"""Train the whole network at once."""

from __future__ import annotations

from edgetl.config.table import Table
from edgetl.train.strategies import EVERYTHING, Phase, Strategy, StrategyContext
from edgetl.train.task_training import Start


class Options(Table):
    """Empty: only the keys of all strategies."""


def _phases(options: Options, context: StrategyContext) -> tuple[Phase, ...]:
    del options
    training = context.training(Start.PRETRAINED)
    return (Phase(name="full", learns=(EVERYTHING,), training=training),)


STRATEGY = Strategy(version=1, tasks=None, options=Options, phases=_phases)
