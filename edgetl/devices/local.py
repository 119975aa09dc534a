"""This machine, in a process of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgetl.devices._process import ENVIRONMENT, failure, too_slow
from edgetl.errors import DeviceError, UsageError
from edgetl.runtime.host import fingerprint
from edgetl.types import Facts


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
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter
                [sys.executable, *arguments],
                cwd=self.folder,
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise too_slow("local", arguments, timeout_s) from error
        if done.returncode == 0:
            return done.stdout
        raise failure("local", arguments, code=done.returncode, said=done.stderr, pip="pip install")

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

    address: str = "local"
    provenance: str = "measured"

    def describe(self) -> Facts:
        """Return the machine's fingerprint."""
        return dict(fingerprint())

    @contextmanager
    def connect(self) -> Iterator[LocalConnection]:
        """Open a temporary folder."""
        with tempfile.TemporaryDirectory(prefix="edgetl-local-") as folder:
            yield LocalConnection(Path(folder))


def parse(address: str) -> LocalDevice:
    """Return this machine.

    Raises:
        UsageError: If anything follows its name.
    """
    if address != "local":
        raise UsageError(f"'{address}' says more than which machine", remedy="write 'local'")
    return LocalDevice()
