"""Trains the whole network, its first block with a rate of its own."""

from __future__ import annotations

from pydantic import Field

from edgetl.config.table import Table
from edgetl.train.strategies import EVERYTHING, Part, Phase, Strategy, StrategyContext
from edgetl.train.task_training import Start


class Options(Table):
    stem_rate: float = Field(default=0.1, gt=0.0)
    """Factor of the learning rate of the first block."""


def _phases(options: Options, context: StrategyContext) -> tuple[Phase, ...]:
    stem = (Part(module=name, rate=options.stem_rate) for name in context.family.blocks[0].modules)
    training = context.training(Start.PRETRAINED)
    return (Phase(name="slow stem", learns=(*stem, EVERYTHING), training=training),)


STRATEGY = Strategy(version=1, tasks=None, options=Options, phases=_phases)
