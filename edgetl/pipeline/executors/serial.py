"""Make one node after the other, in this process."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edgetl.pipeline.make import make
from edgetl.pipeline.schedule import Schedule


@dataclass(frozen=True, slots=True)
class SerialExecutor:
    """Makes the nodes in the order of the plan."""

    def execute(self, rounds: Iterable[Schedule]) -> None:
        """Make every node; see `edgetl.pipeline.executors.Executor.execute`."""
        for schedule in rounds:
            for item in schedule.ready():
                made = make(item, schedule.stage(item), schedule.store, schedule.progress(item))
                schedule.finish(item, made)


EXECUTOR = SerialExecutor()
