"""Connection to a device that is a folder on this machine, and the Python started there."""

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
    """A folder and the command of its Python; see `edgetl.devices.Connection`."""

    device: str
    """Name of the device in messages."""
    folder: Path
    python: tuple[str, ...]
    """Program and first arguments."""
    environment: Mapping[str, str]
    """The whole environment of the process."""
    pip: str
    """Advice for installing a missing package, to be followed by the package's name."""

    def put(self, files: Mapping[str, Path]) -> None:
        """Copy `files`; see `edgetl.devices.Connection.put`."""
        require_memory(self.device, files, free_bytes())
        for name, source in files.items():
            _copy(source, self.folder / name)

    def run(self, arguments: Sequence[str], *, timeout_s: float) -> str:
        """Run Python; see `edgetl.devices.Connection.run`.

        At the time limit, the process is killed together with its children.
        """
        with self._start(arguments) as process:
            try:
                stdout, stderr = process.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired as error:
                raise too_slow(self.device, arguments, timeout_s) from error
            finally:
                # Not reaped yet, so the number is still valid for the process and its group.
                if process.returncode is None:
                    os.killpg(process.pid, signal.SIGKILL)
        if process.returncode == 0:
            return stdout
        raise failure(self.device, arguments, code=process.returncode, stderr=stderr, pip=self.pip)

    def get(self, names: Sequence[str], folder: Path) -> None:
        """Copy files back; see `edgetl.devices.Connection.get`."""
        for name in names:
            if not (self.folder / name).is_file():
                raise DeviceError(
                    f"device '{self.device}' has no file '{name}'",
                    remedy="run the program that writes it first",
                )
            _copy(self.folder / name, folder / name)

    def _start(self, arguments: Sequence[str]) -> subprocess.Popen[str]:
        try:
            return subprocess.Popen(  # noqa: S603 - edgetl's own or an emulated Python
                [*self.python, *arguments],
                cwd=self.folder,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,  # so that the whole process group can be killed
            )
        except OSError as error:
            raise DeviceError(
                f"Python on device '{self.device}' cannot be started: {error.strerror}: "
                f"{self.python[0]}",
                remedy="check that this file exists and that its disk allows programs to run",
            ) from error


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
