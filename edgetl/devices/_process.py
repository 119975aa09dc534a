"""How Python is started on any device, and what is said when that fails."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from textwrap import shorten

from edgetl.errors import DeviceError

# PYTHONDONTWRITEBYTECODE: the folder is thrown away. LANG: file names and output are UTF-8.
ENVIRONMENT = {"LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}

_TAIL_LINES = 3
"""How much of a failed process's standard error a message quotes."""
_CALLED_LETTERS = 72
_NO_MODULE = re.compile(r"No module named '(numpy|PIL|onnxruntime|openvino|ai_edge_litert)\b")
_PIP = re.compile(r"^pip install (\S+)$")
_PACKAGES = {"PIL": "pillow", "ai_edge_litert": "ai-edge-litert"}
"""Where the name of a module is not that of its package."""


def called(arguments: Sequence[str]) -> str:
    """Return the beginning of the command on one line, for messages."""
    return shorten(" ".join(("python", *arguments[:3])), _CALLED_LETTERS, placeholder=" ...")


def too_slow(device: str, arguments: Sequence[str], timeout_s: float) -> DeviceError:
    """Return the error of a process that was killed because its time was up."""
    return DeviceError(
        f"'{called(arguments)}' on device '{device}' took longer than {timeout_s:g} s",
        remedy="run again when the machine is less busy, or time a smaller model",
    )


def failure(
    device: str, arguments: Sequence[str], *, code: int, said: str, pip: str
) -> DeviceError:
    """Return the error of a process that ended with another status than 0.

    Args:
        device: What messages call the device.
        arguments: Those of the device's Python.
        code: Its exit status; below zero the number of the signal that killed it.
        said: Its standard error; the message quotes the last lines.
        pip: The command that installs packages for that Python, for example ``pip install``.
    """
    lines = [line.strip() for line in said.splitlines() if line.strip()] or ["it said nothing"]
    return DeviceError(
        f"'{called(arguments)}' on device '{device}' {_ending(code)}: "
        + " | ".join(lines[-_TAIL_LINES:]),
        remedy=_remedy(lines, code, pip),
    )


def _remedy(lines: Sequence[str], code: int, pip: str) -> str:
    missing = _NO_MODULE.search(lines[-1]) or _PIP.match(lines[-1])
    if missing:
        return f"{pip} {_PACKAGES.get(missing[1], missing[1])}"
    if code == -signal.SIGKILL:
        return "its memory may not be enough: try a smaller model, or see what 'dmesg' says there"
    return "mend what it names and run again; what was finished is kept"


def _ending(code: int) -> str:
    if code > 0:
        return f"ended with {code}"
    return f"was killed by {signal.Signals(-code).name}"
