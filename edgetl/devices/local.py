"""This machine; Python runs in a separate process."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgetl.devices._folder import FolderConnection
from edgetl.devices._process import ENVIRONMENT
from edgetl.errors import UsageError
from edgetl.runtime.host import fingerprint
from edgetl.types import Facts, Provenance


@dataclass(frozen=True, slots=True)
class LocalDevice:
    """The machine that edgetl runs on."""

    address: str = "local"
    provenance: str = Provenance.MEASURED.value

    def describe(self) -> Facts:
        """Return the machine's fingerprint."""
        return dict(fingerprint())

    @contextmanager
    def connect(self) -> Iterator[FolderConnection]:
        """Open a temporary folder."""
        with tempfile.TemporaryDirectory(prefix="edgetl-local-") as name:
            python = (sys.executable,)
            yield FolderConnection("local", Path(name), python, ENVIRONMENT, "pip install")


def parse(address: str) -> LocalDevice:
    """Return this machine.

    Raises:
        UsageError: If the address is not just ``local``.
    """
    if address != "local":
        raise UsageError(f"'{address}' is not a valid address", remedy="write 'local'")
    return LocalDevice()
