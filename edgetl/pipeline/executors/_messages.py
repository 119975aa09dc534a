"""What a worker reports to the process that started it.

Both ends of the connection are processes of one run, so its content is trusted.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass

from edgetl.errors import EdgetlError
from edgetl.pipeline.make import Made
from edgetl.runtime.errors import EdgetlRuntimeError

EXPECTED = (EdgetlError, EdgetlRuntimeError, OSError, MemoryError)
"""Errors that are reported in one sentence; any other is a bug, and ends the process."""


@dataclass(frozen=True, slots=True)
class Begins:
    """The stage of the item starts to run."""


@dataclass(frozen=True, slots=True)
class Step:
    """Progress of the item."""

    done: int
    total: int
    text: str


@dataclass(frozen=True, slots=True)
class Note:
    """A line that the user must know."""

    text: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The expected error of the item, taken apart: not every error can be sent as it is."""

    kind: type[BaseException]
    arguments: tuple[object, ...]
    attributes: dict[str, object]
    traceback: str

    @classmethod
    def of(cls, error: BaseException) -> Failed:
        """Take `error`, one of `EXPECTED`, apart."""
        trace = "".join(traceback.format_exception(error)).rstrip()
        if isinstance(error, OSError):
            # Its constructor chooses the class by the number.
            arguments = (error.errno, error.strerror, error.filename, None, error.filename2)
            return cls(OSError, arguments if error.errno else error.args, {}, trace)
        if isinstance(error, MemoryError):
            return cls(MemoryError, (str(error),), {}, trace)
        return cls(type(error), error.args, vars(error), trace)

    def error(self) -> BaseException:
        """Return an equal error, with the traceback of the worker as a note."""
        if issubclass(self.kind, OSError | MemoryError):
            error: BaseException = self.kind(*self.arguments)
        else:
            # Without the constructor, whose arguments differ from class to class.
            error = self.kind.__new__(self.kind, *self.arguments)
            vars(error).update(self.attributes)
        error.add_note(self.traceback)
        return error


Message = Begins | Step | Note | Made | Failed
"""Everything that a worker sends; the last of an item is `Made` or `Failed`."""
