"""The contract of a device: transfer files to it, run Python there, and describe the machine.

A file in this folder is one way to reach devices. It defines ``parse``, which takes an address that
begins with the file's name (``local``, ``ssh://pi@rpi4``) and returns a device without connecting
to it. All measurements on a device are taken by ``edgetl.runtime`` running there; the device only
transfers files and starts Python.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from edgetl.errors import EdgetlError, MissingPackageError, UsageError, closest
from edgetl.plugins import Slot
from edgetl.types import Facts


class Connection(Protocol):
    """An initially empty folder on a device, in which the device's Python runs."""

    def put(self, files: Mapping[str, Path]) -> None:
        """Copy `files`, by POSIX path below the device's folder.

        Raises:
            DeviceError: If they cannot be transferred, or one of them is larger than the device's
                free memory; then nothing is sent.
        """

    def run(self, arguments: Sequence[str], *, timeout_s: float) -> str:
        """Run the device's Python with `arguments` in its folder and return its standard output.

        It does not inherit this process's environment or installed edgetl, only the files.

        Raises:
            DeviceError: If it cannot be started, takes longer than `timeout_s` seconds, or fails;
                the message quotes the last lines of its standard error.
        """

    def get(self, names: Sequence[str], folder: Path) -> None:
        """Copy files of the device's folder, by POSIX path, to the same paths below `folder`.

        Raises:
            DeviceError: If a file does not exist.
        """


class Device(Protocol):
    """A machine that models run on."""

    @property
    def address(self) -> str:
        """Name of the device in messages."""

    @property
    def provenance(self) -> str:
        """Provenance of times taken there: ``measured``, or ``emulated`` if they mean nothing."""

    def describe(self) -> Facts:
        """Return the machine's fingerprint: the facts that a timing depends on, as plain JSON.

        Raises:
            DeviceError: If the device cannot be reached.
        """

    def connect(self) -> AbstractContextManager[Connection]:
        """Open an empty folder on the device, which is removed at the end of the context.

        Only one client uses a shared device at a time.

        Raises:
            DeviceError: If the device cannot be reached, or stays in use for too long.
        """


_SSH = "ssh"
_PASSWORD = re.compile(r"(?<=[^:/@]):[^:/@]+@")
"""Password in an address; removed from messages, as passwords are never used."""

DEVICES: Slot[Callable[[str], Device]] = Slot("edgetl.devices", "parse", "device", "edgetl.devices")


def open_device(address: str) -> Device:
    """Return the device at `address` without connecting to it.

    Raises:
        UsageError: If the kind of device is unknown or the address is malformed.
        MissingPackageError: If it needs a package that is not installed.
    """
    kind, known = address.partition(":")[0], DEVICES.names()
    if kind not in known:
        raise _unknown(address, known)
    return DEVICES.load(kind)(address)


def check_device(address: str) -> str | None:
    """Return the reason why `open_device` refuses `address`, or None; does not connect."""
    try:
        open_device(address)
    except EdgetlError as error:
        return f"{error.message}; {error.remedy}"
    return None


def check_address(address: str) -> str | None:
    """Return the error in the syntax of `address`, or None.

    Unlike `check_device`, this ignores missing packages.
    """
    try:
        open_device(address)
    except UsageError as error:
        return f"{error.message}; {error.remedy}"
    except MissingPackageError:
        return None
    return None


def missing_package(name: str, module: str) -> MissingPackageError:
    """Return the error that names the extra with `module` for the file `name`."""
    return MissingPackageError.of([DEVICES.missing(name, module)])


def _unknown(address: str, known: Sequence[str]) -> UsageError:
    """Return the error for an address of an unknown kind of device."""
    kind, colon, place = address.partition(":")
    close = closest(kind.lower(), known)
    if close:
        place = _PASSWORD.sub("@", place)
        shown, suggestion = f"{kind}{colon}{place}", f"{close}{colon}{place}"
        if close == _SSH:
            suggestion = f"{_SSH}://{place.lstrip('/') or 'user@host'}"
    else:
        shown = _PASSWORD.sub("@", address)
        suggestion = f"{_SSH}://{shown}" if "@" in shown and "/" not in shown else ""
    hint = f"Did you mean '{suggestion}'? " if suggestion else ""
    return UsageError(f"unknown device '{shown}'", remedy=f"{hint}Known: {', '.join(known)}.")
