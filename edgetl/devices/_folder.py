"""A folder of this machine that stands for a device, and a Python that is started in it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgetl.devices._agent.memory import free_bytes
from edgetl.devices._memory import require_memory
from edgetl.devices._process import failure, too_slow
from edgetl.errors import DeviceError


@dataclass(frozen=True, slots=True)
class FolderConnection:
    """A folder and how Python is started there; see `edgetl.devices.Connection`."""

    device: str
    """What the device is called in messages."""
    folder: Path
    python: tuple[str, ...]
    """Program and first arguments."""
    environment: Mapping[str, str]
    """The whole environment of the process."""
    pip: str
    """What brings a package that is missing, in words that its name follows."""

    def put(self, files: Mapping[str, Path]) -> None:
        """Copy `files`; see `edgetl.devices.Connection.put`."""
        require_memory(self.device, files, free_bytes())
        for name, source in files.items():
            _copy(source, self.folder / name)

    def run(self, arguments: Sequence[str], *, timeout_s: float) -> str:
        """Run Python; see `edgetl.devices.Connection.run`.

        When the time is up, everything that it started goes with it.
        """
        with self._start(arguments) as process:
            try:
                printed, said = process.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired as error:
                raise too_slow(self.device, arguments, timeout_s) from error
            finally:
                # Not yet waited for, so the number is still this process's, and its group's.
                if process.returncode is None:
                    os.killpg(process.pid, signal.SIGKILL)
        if process.returncode == 0:
            return printed
        raise failure(self.device, arguments, code=process.returncode, said=said, pip=self.pip)

    def get(self, names: Sequence[str], folder: Path) -> None:
        """Copy files back; see `edgetl.devices.Connection.get`."""
        for name in names:
            if not (self.folder / name).is_file():
                raise DeviceError(
                    f"device '{self.device}' holds no file '{name}'",
                    remedy="run what writes it first",
                )
            _copy(self.folder / name, folder / name)

    def _start(self, arguments: Sequence[str]) -> subprocess.Popen[str]:
        try:
            return subprocess.Popen(  # noqa: S603 - a program that edgetl brought
                [*self.python, *arguments],
                cwd=self.folder,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,  # a group of its own, that can be killed as one
            )
        except OSError as error:
            raise DeviceError(
                f"Python on device '{self.device}' cannot be started: {error.strerror}: "
                f"{self.python[0]}",
                remedy="see that this file is there and that its disk may hold programs",
            ) from error


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
