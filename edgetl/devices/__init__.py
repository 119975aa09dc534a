"""The contract of a device: how files get there, how the runtime is run there, what it is.

A file in this folder defines ``DEVICE``. Everything measured on a device is measured by
``edgetl.runtime`` running there; a device only carries files and starts Python.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from edgetl.plugins import Slot
from edgetl.types import Facts


class Connection(Protocol):
    """An empty folder on a device, and its Python started in that folder."""

    def put(self, files: Mapping[str, Path]) -> None:
        """Copy `files`, by POSIX path below the device's folder.

        Raises:
            DeviceError: If they cannot be brought there.
        """

    def run(self, arguments: Sequence[str], *, timeout_s: float) -> str:
        """Run the device's Python with `arguments` in its folder; return what it prints.

        Nothing of this process reaches it but the files: no environment, no installed edgetl.

        Raises:
            DeviceError: If it cannot be started, takes longer than `timeout_s` seconds, or fails;
                with the last lines of its standard error.
        """

    def get(self, names: Sequence[str], folder: Path) -> None:
        """Copy files of the device's folder, by POSIX path, to the same paths below `folder`.

        Raises:
            DeviceError: If one is not there.
        """


class Device(Protocol):
    """A machine that models run on."""

    def describe(self) -> Facts:
        """Return the fingerprint of the machine: what a timing depends on, as plain JSON.

        Raises:
            DeviceError: If the device cannot be reached.
        """

    def connect(self) -> AbstractContextManager[Connection]:
        """Open an empty folder on the device; it goes when the context ends.

        Raises:
            DeviceError: If the device cannot be reached.
        """


DEVICES: Slot[Device] = Slot("edgetl.devices", "DEVICE", "device", {})
