"""A signal that ends a command ends what it has started, and its temporary folders go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

# On the device, a process with a child of its own; both write their numbers.
_CHILD = """\
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open({path!r}, "w") as file:
    file.write(f"{{os.getpid()}} {{child.pid}} ")
time.sleep(600)
"""
_COMMAND = """\
import sys
import click
from edgetl import cli
from edgetl.devices.local import LocalDevice

@click.command()
def command():
    with LocalDevice().connect() as connection:
        connection.run(["-c", {child!r}], timeout_s=600)

cli._Commands.get_command = lambda *arguments: command
sys.argv = ["edgetl", "command"]
cli.main()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda each: each.name)
def test_processes_on_this_machine_end_with_the_command(
    tmp_path: Path, number: signal.Signals
) -> None:
    numbers, temporary = tmp_path / "numbers", tmp_path / "temporary"
    temporary.mkdir()
    code = _COMMAND.format(child=_CHILD.format(path=str(numbers)))
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        _wait_until(lambda: numbers.is_file() and numbers.read_text().endswith(" "))
        assert list(temporary.iterdir())
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
    try:
        _wait_until(lambda: not any(_runs(pid) for pid in numbers.read_text().split()))
    finally:
        for pid in filter(_runs, numbers.read_text().split()):
            os.kill(int(pid), signal.SIGKILL)
    assert list(temporary.iterdir()) == []
    assert process.returncode == 128 + number
    assert stderr == f"edgetl: ended by {number.name}\n  run the same command again to continue\n"


def test_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    # As under nohup.
    code = (
        "import signal, sys\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from edgetl import cli\n"
        "cli._end_by_signals()\n"
        "signal.raise_signal(signal.SIGHUP)\n"
        "print('goes on')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "goes on\n"


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(pid: str) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rpartition(")")[2].split()[0] != "Z"
