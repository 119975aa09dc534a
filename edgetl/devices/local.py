"""This machine, in a process of its own."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgetl.errors import DeviceError
from edgetl.runtime.host import fingerprint
from edgetl.types import Facts

_TAIL_LINES = 3
"""How much of a failed process's standard error a message quotes."""

# PYTHONDONTWRITEBYTECODE: the folder is thrown away. LANG: file names and output are UTF-8.
_ENVIRONMENT = {"LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}


@dataclass(frozen=True, slots=True)
class LocalConnection:
    """A temporary folder and this Python."""

    folder: Path

    def put(self, files: Mapping[str, Path]) -> None:
        """Copy `files`; see `edgetl.devices.Connection.put`."""
        for name, source in files.items():
            self._copy(source, self.folder / name)

    def run(self, arguments: Sequence[str], *, timeout_s: float) -> str:
        """Run Python; see `edgetl.devices.Connection.run`."""
        called = " ".join(("python", *arguments[:3]))
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter
                [sys.executable, *arguments],
                cwd=self.folder,
                env=_ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise DeviceError(
                f"'{called}' on device 'local' took longer than {timeout_s:g} s",
                remedy="run again when the machine is less busy, or time a smaller model",
            ) from error
        if done.returncode == 0:
            return done.stdout
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["it said nothing"]
        raise DeviceError(
            f"'{called}' on device 'local' {_ending(done.returncode)}: "
            + " | ".join(lines[-_TAIL_LINES:]),
            remedy="mend what it names and run again; what was finished is kept",
        )

    def get(self, names: Sequence[str], folder: Path) -> None:
        """Copy files back; see `edgetl.devices.Connection.get`."""
        for name in names:
            if not (self.folder / name).is_file():
                raise DeviceError(
                    f"device 'local' holds no file '{name}'", remedy="run what writes it first"
                )
            self._copy(self.folder / name, folder / name)

    @staticmethod
    def _copy(source: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


@dataclass(frozen=True, slots=True)
class LocalDevice:
    """The machine that edgetl runs on."""

    def describe(self) -> Facts:
        """Return the machine's fingerprint."""
        return dict(fingerprint())

    @contextmanager
    def connect(self) -> Iterator[LocalConnection]:
        """Open a temporary folder."""
        with tempfile.TemporaryDirectory(prefix="edgetl-local-") as folder:
            yield LocalConnection(Path(folder))


def _ending(code: int) -> str:
    if code > 0:
        return f"ended with {code}"
    return f"was killed by {signal.Signals(-code).name}"


DEVICE = LocalDevice()
