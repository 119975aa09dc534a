"""A process that makes nodes: ``python -m edgetl.pipeline.executors._worker CONNECTION LIFELINE``.

It gets the folder of the store, then one work item after the other, and ends when there are no
more. The arguments are file descriptors that it inherits. The lifeline is a pipe that closes when
the process that started this one ends, however it ends.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from edgetl.pipeline.executors._messages import EXPECTED, Begins, Failed, Message, Note, Step
from edgetl.pipeline.make import WorkItem, make
from edgetl.stages import STAGES
from edgetl.store.store import Store

GRACE_S = 5.0
"""How long a worker that is to stop may clean up."""


class _StoppedError(BaseException):
    """This process is to stop."""


class _NoMoreError(Exception):
    """There are no more items."""


@dataclass(frozen=True, slots=True)
class _Events:
    """Sends the events of the current item; stages may report from several threads."""

    connection: Connection
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begins(self) -> None:
        self.send(Begins())

    def step(self, done: int, total: int, text: str) -> None:
        self.send(Step(done, total, text))

    def note(self, text: str) -> None:
        self.send(Note(text))

    def send(self, message: Message) -> None:
        with self.lock:
            try:
                self.connection.send(message)
            except ConnectionError as error:  # an error of the stage looks alike
                raise _StoppedError from error


def main(connection: Connection, lifeline: int) -> None:
    """Make the items that `connection` yields until it closes."""
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()
    events = _Events(connection)
    try:
        store = Store(_received(connection))
        while True:
            _serve(_received(connection), store, events)
    except _StoppedError:
        # With everything that the stage has started and left running.
        os.killpg(os.getpgrp(), signal.SIGKILL)
    except _NoMoreError:
        return


def _received(connection: Connection) -> Any:  # noqa: ANN401 - the folder of the store, or an item
    try:
        return connection.recv()
    except (EOFError, ConnectionError) as error:
        raise _NoMoreError from error


def _serve(item: WorkItem, store: Store, events: _Events) -> None:
    try:
        made = make(item, STAGES.load(item.node.stage), store, events)
    except EXPECTED as error:
        events.send(Failed.of(error))
    else:
        events.send(made)


def _stop(number: int, frame: object) -> None:
    del number, frame
    # Once is enough: the next one must not interrupt the cleaning up.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _StoppedError


def _end_with_parent(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    for number in numbers:
        os.set_inheritable(number, False)  # noqa: FBT003 - positional only
    main(Connection(numbers[0]), numbers[1])
