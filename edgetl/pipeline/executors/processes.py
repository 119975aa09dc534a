"""Make several nodes at once, in worker processes on this machine.

There are at most as many workers as usable cores. They live until the run ends, so that frameworks
are imported once for many nodes. A node that needs one core is started as soon as a core is free,
and the memory that it states is. A node that needs all cores, or the machine, is made alone.

After a failure no further node is started, but those in work are finished. A worker that is killed
is replaced, and its node made again, once.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from edgetl.errors import EdgetlError, ExitCode
from edgetl.pipeline.executors._memory import available_bytes
from edgetl.pipeline.executors._messages import Begins, Failed, Message, Note, Step
from edgetl.pipeline.executors._worker_process import WorkerProcess, with_news
from edgetl.pipeline.make import Made, WorkItem
from edgetl.pipeline.schedule import Schedule
from edgetl.runtime.cores import usable_cores
from edgetl.stages import Cores
from edgetl.types import MIB

_ORDER = (Cores.ALL, Cores.ONE, Cores.MACHINE)
"""What is started first if nothing runs: many nodes wait for a training, few for a timing."""


class WorkerEndedError(EdgetlError):
    """The worker process of a node was killed twice."""

    exit_code = ExitCode.USAGE


class BugError(EdgetlError):
    """A stage has failed with an unexpected error, which its process has printed."""

    exit_code = ExitCode.BUG


@dataclass(frozen=True, slots=True)
class ProcessesExecutor:
    """Makes nodes side by side where their stages allow it."""

    def execute(self, rounds: Iterable[Schedule]) -> None:
        """Make every node; see `edgetl.pipeline.executors.Executor.execute`."""
        with _open_pool() as pool:
            for schedule in rounds:
                _Round(schedule, pool).run()


@dataclass(slots=True)
class _Pool:
    """The workers of a run."""

    most: int
    """Workers that may run at once."""
    memory_bytes: int | None
    """That they may use together; None if unknown."""
    workers: list[WorkerProcess] = field(default_factory=list)

    def in_work(self) -> list[WorkerProcess]:
        """Return the workers that have an item."""
        return [worker for worker in self.workers if worker.item is not None]

    def take(self, item: WorkItem, store_root: Path, *, needed_bytes: int) -> WorkerProcess:
        """Return an idle worker for `item`: the one that has imported most of what it needs.

        Args:
            item: To be started.
            store_root: Of the store, for a new worker.
            needed_bytes: Memory that the worker and those in work need together. Where idle workers
                leave less than that, they are ended.
        """
        idle = [worker for worker in self.workers if worker.item is None]
        if not idle:
            self.workers.append(WorkerProcess(store_root))
            return self.workers[-1]
        chosen = max(idle, key=lambda worker: len(worker.packages & item.request.tools.keys()))
        idle.remove(chosen)
        if self.memory_bytes is not None and idle:
            held_bytes = sum(worker.resident_bytes() for worker in idle)
            if needed_bytes + held_bytes > self.memory_bytes:
                self.end(idle)
        return chosen

    def end(self, workers: Iterable[WorkerProcess]) -> None:
        """End `workers`; those in work are stopped."""
        with ExitStack() as ends:
            for worker in workers:
                self.workers.remove(worker)
                ends.callback(worker.end)
                worker.ask_to_end()

    def bury(self, worker: WorkerProcess) -> int:
        """Remove a dead worker, and return its exit code as `subprocess` gives it."""
        self.workers.remove(worker)
        return worker.bury()


@contextmanager
def _open_pool() -> Iterator[_Pool]:
    pool = _Pool(usable_cores(), available_bytes())
    try:
        yield pool
    finally:
        pool.end(tuple(pool.workers))


class _Round:
    """Makes the nodes of one schedule."""

    def __init__(self, schedule: Schedule, pool: _Pool) -> None:
        self._schedule = schedule
        self._pool = pool
        self._ready: list[WorkItem] = []
        self._position = {node: number for number, node in enumerate(schedule.nodes)}
        self._killed: set[WorkItem] = set()
        self._failure: BaseException | None = None

    def run(self) -> None:
        """Make every node.

        Raises:
            EdgetlError: If a stage fails for a reason that a user can fix, or a worker ends.
            OSError: As the stage raised it.
            MemoryError: As the stage raised it.
        """
        while True:
            self._ready += self._schedule.ready()
            self._ready.sort(key=lambda item: self._position[item.node])
            while self._failure is None and (item := self._next()):
                self._start(item)
            in_work = self._pool.in_work()
            if not in_work:
                break
            for worker in with_news(in_work):
                message = worker.receive()
                if message is None:
                    self._replace(worker)
                else:
                    self._handle(worker, message)
        if self._failure is not None:
            raise self._failure

    def _items_in_work(self) -> list[WorkItem]:
        return [worker.item for worker in self._pool.in_work() if worker.item is not None]

    def _next(self) -> WorkItem | None:
        """Return the item to start now, None if none may start."""
        in_work = self._items_in_work()
        if not in_work:
            ordered = sorted(self._ready, key=lambda item: _ORDER.index(self._cores(item)))
            return next(iter(ordered), None)
        if len(in_work) >= self._pool.most or self._cores(in_work[0]) is not Cores.ONE:
            return None
        return next((item for item in self._ready if self._fits(item)), None)

    def _fits(self, item: WorkItem) -> bool:
        """Return whether `item` may run beside those in work."""
        if self._cores(item) is not Cores.ONE:
            return False
        return self._pool.memory_bytes is None or self._needed(item) <= self._pool.memory_bytes

    def _needed(self, item: WorkItem) -> int:
        """Return the memory that `item` and those in work need, bytes."""
        items = (item, *self._items_in_work())
        return sum(self._schedule.stage(each).memory_mib * MIB for each in items)

    def _cores(self, item: WorkItem) -> Cores:
        return self._schedule.stage(item).cores

    def _start(self, item: WorkItem) -> None:
        needed_bytes = self._needed(item)
        self._ready.remove(item)
        worker = self._pool.take(item, self._schedule.store.root, needed_bytes=needed_bytes)
        worker.start(item)

    def _handle(self, worker: WorkerProcess, message: Message) -> None:
        item = worker.item
        if item is None:
            raise TypeError(f"an idle worker has sent {message}")
        progress = self._schedule.progress(item)
        match message:
            case Begins():
                progress.begins()
            case Step(done, total, text):
                progress.step(done, total, text)
            case Note(text):
                progress.note(text)
            case Made():
                worker.item = None
                self._schedule.finish(item, message)
            case Failed():
                worker.item = None
                self._fail(message.error())

    def _fail(self, error: BaseException) -> None:
        # Others in work may fail as well; the first one is reported.
        self._failure = self._failure or error

    def _replace(self, worker: WorkerProcess) -> None:
        """Let another worker make the item of a dead one, unless that cannot help."""
        item = worker.item
        code = self._pool.bury(worker)
        if item is None:
            return
        label = item.node.label
        if code >= 0:
            self._fail(
                BugError(
                    f"{label}: its process ended with {code}; the reason is above",
                    remedy="report it with those lines; finished work is kept",
                )
            )
            return
        name = signal.Signals(-code).name
        if item not in self._killed:
            self._killed.add(item)
            self._ready.append(item)
            self._schedule.progress(item).note(
                f"the process that was making this was ended by {name}; making it again"
            )
            return
        likely = "; the memory probably ran out" if code == -signal.SIGKILL else ""
        self._fail(
            WorkerEndedError(
                f"{label}: its process was ended by {name} twice{likely}",
                remedy="stop other programs, or run with '--executor serial', which makes one "
                "thing at a time; finished work is kept",
            )
        )


EXECUTOR = ProcessesExecutor()
