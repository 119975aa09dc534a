"""Environment of Python on any device, and the errors of processes that fail there."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from textwrap import shorten

from edgetl.errors import DeviceError

# PYTHONDONTWRITEBYTECODE: the folder is temporary. LANG: file names and output are UTF-8.
ENVIRONMENT = {"LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}

_TAIL_LINES = 3
"""Number of lines of a failed process's standard error that a message quotes."""
_COMMAND_LENGTH = 72
_NO_MODULE = re.compile(r"No module named '(numpy|PIL|onnxruntime|openvino|ai_edge_litert)\b")
_PIP = re.compile(r"^pip install (\S+)$")
_PACKAGES = {"PIL": "pillow", "ai_edge_litert": "ai-edge-litert"}
"""Package of a module, if their names differ."""


def command_line(arguments: Sequence[str]) -> str:
    """Return the start of the command on one line, for messages."""
    return shorten(" ".join(("python", *arguments[:3])), _COMMAND_LENGTH, placeholder=" ...")


def too_slow(device: str, arguments: Sequence[str], timeout_s: float) -> DeviceError:
    """Return the error of a process that was killed at its time limit."""
    return DeviceError(
        f"'{command_line(arguments)}' on device '{device}' took longer than {timeout_s:g} s",
        remedy="run again when the machine is less busy, or use a smaller model",
    )


def failure(
    device: str, arguments: Sequence[str], *, code: int, stderr: str, pip: str
) -> DeviceError:
    """Return the error of a process that failed.

    Args:
        device: Name of the device in messages.
        arguments: Arguments of the device's Python.
        code: Exit status; if negative, the number of the signal that killed the process.
        stderr: Standard error; the message quotes the last lines.
        pip: Command that installs packages for that Python, for example ``pip install``.
    """
    lines = [line.strip() for line in stderr.splitlines() if line.strip()] or ["no error output"]
    return DeviceError(
        f"'{command_line(arguments)}' on device '{device}' {_ending(code)}: "
        + " | ".join(lines[-_TAIL_LINES:]),
        remedy=_remedy(lines, code, pip),
    )


def _remedy(lines: Sequence[str], code: int, pip: str) -> str:
    missing = _NO_MODULE.search(lines[-1]) or _PIP.match(lines[-1])
    if missing:
        return f"{pip} {_PACKAGES.get(missing[1], missing[1])}"
    if code == -signal.SIGKILL:
        return (
            "it may have run out of memory: try a smaller model, or check the output of 'dmesg' "
            "there"
        )
    return "fix the reported problem and run again; finished work is kept"


def _ending(code: int) -> str:
    if code > 0:
        return f"exited with {code}"
    return f"was killed by {signal.Signals(-code).name}"
