"""A board over ssh: ``ssh://[user@]host[:port]``, or a host alias in the ssh config.

Files are sent once and cached on the board by their digest. Only one client uses a board at a time.
When the connection ends, for whatever reason, running processes are killed and the working folder
is removed.
"""

from __future__ import annotations

import json
import logging
import os
import pwd
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from edgetl.devices import missing_package
from edgetl.devices._address import SshAddress, parse_address
from edgetl.devices._memory import require_memory
from edgetl.devices._process import ENVIRONMENT, command_line, failure, too_slow
from edgetl.devices._session import ConnectionLostError, Session, Timeouts
from edgetl.errors import DeviceError
from edgetl.hashing import digest_file
from edgetl.runtime.bundle import runtime_files
from edgetl.types import Facts, Provenance

EXTRA = "ssh"

_Result = TypeVar("_Result")

_logger = logging.getLogger(__name__)

_CACHE_LIMIT_BYTES = 1 << 30
_PIECE_BYTES = 1 << 18
"""At most this much of a file has to be sent again after a lost connection."""
_LOCK_EVERY_S = 0.5
_DESCRIBE_TIMEOUT_S = 60.0
_FINGERPRINT = (
    "import json; from edgetl.runtime.host import fingerprint; print(json.dumps(fingerprint()))"
)


class SshConnection:
    """The working folder on a board; see `edgetl.devices.Connection`.

    A lost connection is reopened, once per call, as long as the folder holds nothing but files that
    were put there. Once a process has run, the files that it made are lost, which is an error.
    """

    def __init__(self, device: SshDevice, *, exclusive: bool) -> None:
        self.sent_bytes = 0
        """Number of bytes of files sent so far."""
        self._device = device
        self._exclusive = exclusive
        self._session = Session(device.ssh, device.timeouts)
        self._token = secrets.token_hex(16)
        self._placed: dict[str, Path] = {}
        self._has_run = False

    def put(self, files: Mapping[str, Path]) -> None:
        """Send `files` that are not cached yet; see `edgetl.devices.Connection.put`."""
        self._retry("sending files", lambda session: self._put(session, files))
        self._placed.update(files)

    def run(self, arguments: Sequence[str], *, timeout_s: float) -> str:
        """Run Python; see `edgetl.devices.Connection.run`."""
        reply, output = self._retry(
            f"running '{command_line(arguments)}'",
            lambda session: session.request(
                "run",
                within_s=timeout_s,
                arguments=list(arguments),
                environment=ENVIRONMENT,
                timeout_s=timeout_s,
            ),
        )
        self._has_run = True
        address = self._device.ssh
        if not reply["in_time"]:
            raise too_slow(str(address), arguments, timeout_s)
        if reply["code"] != 0:
            pip = address.command(address.settings.python, "-m", "pip", "install")
            raise failure(
                str(address), arguments, code=reply["code"], stderr=reply["stderr"], pip=pip
            )
        return output.decode("utf-8", errors="replace")

    def get(self, names: Sequence[str], folder: Path) -> None:
        """Copy files back; see `edgetl.devices.Connection.get`."""
        for name in names:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            fetch = partial(self._get, name=name, target=target)
            self._retry(f"fetching '{name}'", fetch)

    def open(self) -> None:
        """Connect, wait until the board is free, and make the working folder.

        Raises:
            DeviceError: If it cannot be reached, or others use it for too long.
            ConnectionLostError: If the connection is lost meanwhile.
        """
        device, session = self._device, self._session
        session.open()
        session.request(
            "open",
            cache=device.ssh.settings.cache,
            limit_bytes=device.cache_limit_bytes,
            silence_s=device.timeouts.silence,
        )
        if self._exclusive:
            self._lock(session)
        session.request("work")

    def close(self) -> None:
        """Close the connection; only the cache stays on the board."""
        self._session.close()

    def _retry(self, doing: str, action: Callable[[Session], _Result]) -> _Result:
        """Run `action`; if the connection is lost, reconnect and run it once more."""
        name = str(self._device.ssh)
        try:
            return action(self._session)
        except ConnectionLostError as error:
            if self._has_run:
                raise _lost(name, f"while {doing}; the files made there are lost") from error
            _logger.warning("the connection to %s was lost while %s; retrying", name, doing)
        self.close()
        self._session = Session(self._device.ssh, self._device.timeouts)
        try:
            self.open()
            self._put(self._session, self._placed)
            return action(self._session)
        except ConnectionLostError as error:
            raise _lost(name, f"twice while {doing}") from error

    def _put(self, session: Session, files: Mapping[str, Path]) -> None:
        free_bytes = session.request("memory")[0]["free_bytes"]
        require_memory(str(self._device.ssh), files, free_bytes)
        digests = {name: digest_file(path) for name, path in files.items()}
        missing = session.request("place", files=digests)[0]["missing"]
        sources = {digests[name]: files[name] for name in missing}
        for digest, source in sources.items():
            if not (self._send(session, digest, source) or self._send(session, digest, source)):
                raise DeviceError(
                    f"'{source}' did not arrive intact on device '{self._device.ssh}'",
                    remedy="do not change the file while it is sent, and run again",
                )
        sent = {name: digests[name] for name in missing}
        missing = session.request("place", files=sent)[0]["missing"]
        if missing:
            raise DeviceError(
                f"device '{self._device.ssh}' did not store '{missing[0]}' intact",
                remedy="its disk may be failing: check the output of 'dmesg' there",
            )

    def _send(self, session: Session, digest: str, source: Path) -> bool:
        """Send the missing part of `source`; return whether the file arrived intact."""
        reply, _ = session.request("send", digest=digest, size=source.stat().st_size)
        with source.open("rb") as file:
            file.seek(reply["offset"])
            while reply["intact"] is None:
                piece = file.read(_PIECE_BYTES)
                if not piece:  # the file has become shorter
                    return False
                reply, _ = session.request("piece", piece)
                self.sent_bytes += len(piece)
        return bool(reply["intact"])

    def _get(self, session: Session, *, name: str, target: Path) -> None:
        with target.open("wb") as file:
            while True:
                reply, piece = session.request("fetch", name=name, offset=file.tell())
                if reply["size"] is None:
                    break
                file.write(piece)
                if not piece or file.tell() >= reply["size"]:
                    return
        target.unlink()
        raise DeviceError(
            f"device '{self._device.ssh}' has no file '{name}'",
            remedy="run the program that writes it first",
        )

    def _lock(self, session: Session) -> None:
        """Wait until no other client uses the board."""
        device = self._device
        name, timeouts = str(device.ssh), device.timeouts
        deadline = time.monotonic() + device.ssh.settings.wait
        logged = False
        while True:
            reply, _ = session.request(
                "lock", owner=_owner(), token=self._token, stale_s=timeouts.stale
            )
            if reply["acquired"]:
                if reply["former"] is not None:
                    _logger.warning(
                        "%s was in use by %s, which sent no heartbeat for %.0f s; taken over",
                        name,
                        _plain(reply["former"]),
                        reply["silent_s"],
                    )
                return
            if "owner" not in reply:  # released just now
                continue
            if time.monotonic() >= deadline:
                raise _in_use(device.ssh, reply, timeouts.stale)
            if not logged:
                logged = True
                _logger.info("%s is in use by %s", name, _holder(reply))
            time.sleep(_LOCK_EVERY_S)


@dataclass(frozen=True, slots=True)
class SshDevice:
    """A board with an ssh server and Python."""

    ssh: SshAddress
    timeouts: Timeouts = field(default_factory=Timeouts)
    cache_limit_bytes: int = _CACHE_LIMIT_BYTES
    """Total size of the cache on the board; a single session may exceed it."""

    @property
    def address(self) -> str:
        """The address without its settings."""
        return str(self.ssh)

    @property
    def provenance(self) -> str:
        """Times taken on a board are measured."""
        return Provenance.MEASURED

    def describe(self) -> Facts:
        """Return the board's fingerprint, even while another client uses the board."""
        with self._open(exclusive=False) as connection:
            connection.put(runtime_files())
            output = connection.run(["-c", _FINGERPRINT], timeout_s=_DESCRIBE_TIMEOUT_S)
        fingerprint: Facts = json.loads(output)
        return fingerprint

    @contextmanager
    def connect(self) -> Iterator[SshConnection]:
        """Open a working folder on the board, once no other client uses the board."""
        with self._open(exclusive=True) as connection:
            yield connection

    @contextmanager
    def _open(self, *, exclusive: bool) -> Iterator[SshConnection]:
        connection = SshConnection(self, exclusive=exclusive)
        try:
            try:
                connection.open()
            except ConnectionLostError as error:
                raise _lost(str(self.ssh), "while connecting") from error
            yield connection
        finally:
            connection.close()


def parse(address: str) -> SshDevice:
    """Return the device at `address`; for settings see `edgetl.devices._address.Settings`.

    Raises:
        UsageError: If the address is malformed.
        MissingPackageError: If asyncssh is not installed.
    """
    ssh = parse_address(address)
    if find_spec("asyncssh") is None:
        raise missing_package("ssh", "asyncssh")
    return SshDevice(ssh)


def _lost(name: str, when: str) -> DeviceError:
    return DeviceError(
        f"the connection to device '{name}' was lost {when}",
        remedy="run again; files that were already sent are kept on the device",
    )


def _in_use(address: SshAddress, reply: Facts, stale_s: float) -> DeviceError:
    if reply.get("silent_s", 0.0) > stale_s:
        return DeviceError(
            f"device '{address}' is in use by {_holder(reply)}, which sent no heartbeat for "
            f"{reply['silent_s']:.0f} s and cannot be stopped from this account",
            remedy="stop it as its user or root: "
            + address.command("sudo", "kill", "-9", str(reply["pid"])),
        )
    return DeviceError(
        f"device '{address}' is in use by {_holder(reply)}; waited {address.settings.wait:g} s",
        remedy=f"try again later, or wait longer: {address}?wait=3600",
    )


def _holder(reply: Facts) -> str:
    since = datetime.now().astimezone() - timedelta(seconds=reply.get("age_s", 0.0))
    return f"{_plain(reply.get('owner'))} since {since:%Y-%m-%d %H:%M:%S}"


def _plain(owner: object) -> str:
    """Return the owner without control characters, since any user may have written it."""
    text = str(owner or "unknown")
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _owner() -> str:
    """Return the lock's owner as shown to other clients: ``user@host pid 123``."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()} pid {os.getpid()}"
