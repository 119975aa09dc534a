"""The contract of a device: how files get there, how the runtime is run there, what it is.

A file in this folder is one way to reach devices. It defines ``parse``, which takes an address that
begins with the file's name (``local``, ``ssh://pi@rpi4``) and returns the device, connected to
nothing yet. Everything measured on a device is measured by ``edgetl.runtime`` running there; a
device only carries files and starts Python.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from edgetl.errors import EdgetlError, MissingPackageError, UsageError
from edgetl.plugins import Slot
from edgetl.types import Facts


class Connection(Protocol):
    """An empty folder on a device, and its Python started in that folder."""

    def put(self, files: Mapping[str, Path]) -> None:
        """Copy `files`, by POSIX path below the device's folder.

        Raises:
            DeviceError: If they cannot be brought there, or one of them is larger than the memory
                that is free there; then nothing is sent.
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

    @property
    def address(self) -> str:
        """What it is called in messages."""

    @property
    def provenance(self) -> str:
        """What a time taken there is: ``measured``, or ``emulated`` and without meaning."""

    def describe(self) -> Facts:
        """Return the fingerprint of the machine: what a timing depends on, as plain JSON.

        Raises:
            DeviceError: If the device cannot be reached.
        """

    def connect(self) -> AbstractContextManager[Connection]:
        """Open an empty folder on the device; it goes when the context ends.

        One client at a time: where others can reach the device too, it is theirs or ours.

        Raises:
            DeviceError: If the device cannot be reached, or is in use for too long.
        """


_SSH = "ssh"
_PASSWORD = re.compile(r"(?<=[^:/@]):[^:/@]+@")
"""Of a user: passwords are never used, and never repeated."""

DEVICES: Slot[Callable[[str], Device]] = Slot("edgetl.devices", "parse", "device", "edgetl.devices")


def open_device(address: str) -> Device:
    """Return the device at `address`; nothing is connected yet.

    Raises:
        UsageError: If there is no such way to reach a device, or the address is not of its form.
        MissingPackageError: If it needs a package that is not installed.
    """
    way, known = address.partition(":")[0], DEVICES.names()
    if way not in known:
        raise _unknown(address, known)
    return DEVICES.load(way)(address)


def check_device(address: str) -> str | None:
    """Return why `open_device` would refuse `address`, in words, or None; connects to nothing."""
    try:
        open_device(address)
    except EdgetlError as error:
        return f"{error.message}; {error.remedy}"
    return None


def check_address(address: str) -> str | None:
    """Return what is wrong with the form of `address`, in words, or None.

    Unlike `check_device` it does not ask for the packages that the device needs.
    """
    try:
        open_device(address)
    except UsageError as error:
        return f"{error.message}; {error.remedy}"
    except MissingPackageError:
        return None
    return None


def missing_package(name: str, module: str) -> MissingPackageError:
    """Return the error that says which extra brings `module` for the file `name`."""
    return MissingPackageError.of([DEVICES.missing(name, module)])


def _unknown(address: str, known: Sequence[str]) -> UsageError:
    """Return the error of an address that begins with no way to reach devices."""
    way, colon, place = address.partition(":")
    close = difflib.get_close_matches(way.lower(), known, n=1)
    if close:
        place = _PASSWORD.sub("@", place)
        written, meant = f"{way}{colon}{place}", f"{close[0]}{colon}{place}"
        if close[0] == _SSH:
            meant = f"{_SSH}://{place.lstrip('/') or 'user@host'}"
    else:
        written = _PASSWORD.sub("@", address)
        meant = f"{_SSH}://{written}" if "@" in written and "/" not in written else ""
    hint = f"Did you mean '{meant}'? " if meant else ""
    return UsageError(f"unknown device '{written}'", remedy=f"{hint}Known: {', '.join(known)}.")
