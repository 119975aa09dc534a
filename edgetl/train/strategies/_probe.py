"""The phase that trains the head alone, for the strategies that have one."""

from __future__ import annotations

from pydantic import Field

from edgetl.config.table import Table
from edgetl.train.strategies import Part, Phase, StrategyContext


class ProbeOptions(Table):
    """How the head alone is trained."""

    probe_epochs: int | None = Field(default=None, ge=1, le=100_000)
    """Epochs that train the head alone, on cached features (default 60) or, for detection, on the
    images (default 3)."""
    probe_lr: float | None = Field(default=None, gt=0.0)
    """Peak learning rate of the head alone, which is always trained with `adamw`. Default:
    0.001."""


def probe(options: ProbeOptions, context: StrategyContext) -> Phase:
    """Return the phase in which the head learns and the rest is frozen."""
    return Phase(
        name="probe",
        learns=(Part(module=context.family.head),),
        training=context.head_training(epochs=options.probe_epochs, lr=options.probe_lr),
        cached_features=context.task.caches_features,
    )
