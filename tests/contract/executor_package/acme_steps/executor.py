"""Makes the last node that is ready first, from a copy, as one that came from another machine."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass

from edgetl.pipeline.make import make
from edgetl.pipeline.schedule import Schedule
from edgetl.stages import STAGES


@dataclass(frozen=True, slots=True)
class BackwardsExecutor:
    def execute(self, rounds: Iterable[Schedule]) -> None:
        for schedule in rounds:
            while items := list(schedule.ready()):
                for item in reversed(items):
                    stage = STAGES.load(item.node.stage)
                    made = make(copy.deepcopy(item), stage, schedule.store, schedule.progress(item))
                    schedule.finish(item, made)


EXECUTOR = BackwardsExecutor()
