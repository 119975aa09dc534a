"""The contract of an executor: where, and in which order, the missing nodes of a run are made.

A file in this folder, or an entry point in the group ``edgetl.executors``, defines ``EXECUTOR``. An
executor changes no artifact: all give the same digests, except for measured stages.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from edgetl.pipeline.schedule import Schedule
from edgetl.plugins import Slot
from edgetl.runtime.cores import usable_cores


class Executor(Protocol):
    """Makes the missing nodes of a run."""

    def execute(self, rounds: Iterable[Schedule]) -> None:
        """Make every node of every round.

        The next round is planned when it is requested, from the artifacts of those before. In a
        round, call `Schedule.ready` until it yields nothing and every item is finished. An item is
        made by `edgetl.pipeline.make.make`, in any process that reaches the folder of the store
        and has the same packages; such a process gets the stage from `edgetl.stages.STAGES` by the
        name in the item. `Schedule.finish` takes the artifact, in the process of `execute`.

        `Stage.cores` and `Stage.memory_mib` state what an item needs. Nothing else may run on the
        machine of an item that needs all cores, or the machine.

        Raises:
            EdgetlError: If a stage fails for a reason that a user can fix. What was finished is
                kept.
            OSError: If the store cannot be written.
        """


EXECUTORS: Slot[Executor] = Slot(
    "edgetl.pipeline.executors", "EXECUTOR", "executor", "edgetl.executors"
)


def default_executor() -> str:
    """Return the name of the executor that suits the cores that this process may use."""
    return "serial" if usable_cores() == 1 else "processes"
