"""What is asked of Python on a device, and answered as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgetl.devices import Connection
from edgetl.errors import DeviceError
from edgetl.types import Fact, Facts

if TYPE_CHECKING:  # planning must not wait for numpy
    from edgetl.runtime.golden import ReplayRow

BUILD_S = 1200.0
"""TensorRT builds a program for this very GPU each time that a file is opened: minutes on a small
board."""

# An engine that is missing or runs the model elsewhere is the device's fault and ends the process;
# the other faults are the model's.
_REPLAY = """\
import json, pathlib, sys
from edgetl.runtime.errors import EngineError, EdgetlRuntimeError
from edgetl.runtime.golden import replay
try:
    rows = replay(pathlib.Path(sys.argv[1]), int(sys.argv[2])).rows
    print(json.dumps({"rows": [[r.name, r.what, r.worst, r.tolerance] for r in rows]}))
except EngineError as fault:
    sys.exit(str(fault))
except EdgetlRuntimeError as fault:
    print(json.dumps({"fault": fault.message}))
"""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of the golden samples on a device."""

    rows: tuple[ReplayRow, ...]
    error: str
    """Why the model could not answer them; empty if it could."""


def run_json(
    connection: Connection, address: str, arguments: Sequence[str], *, what: str, timeout_s: float
) -> Facts:
    """Return what Python prints on the device, which is one JSON object.

    Args:
        connection: To the device.
        address: What the device is called in messages.
        arguments: See `edgetl.devices.Connection.run`.
        what: What it answers, in a word.
        timeout_s: Likewise.

    Raises:
        DeviceError: If it fails there, or prints something else.
    """
    printed = connection.run(arguments, timeout_s=timeout_s)
    try:
        data: Fact = json.loads(printed)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise DeviceError(
            f"device '{address}' answered {printed[:80]!r} instead of {what}",
            remedy="run Python there and see; besides the answer it must print nothing",
        )
    return data


def replay_golden(
    connection: Connection, address: str, folder: str, *, threads: int, timeout_s: float
) -> Replayed:
    """Let the runtime that lies in the device's folder replay the golden samples of `folder`.

    Raises:
        DeviceError: If an engine is missing there or would run the model elsewhere, or
            Python fails.
    """
    from edgetl.runtime.golden import ReplayRow

    command = ["-c", _REPLAY, folder, str(threads)]
    data = run_json(connection, address, command, what="figures", timeout_s=timeout_s)
    rows = tuple(ReplayRow(*row) for row in data.get("rows", ()))
    return Replayed(rows, str(data.get("fault", "")))
