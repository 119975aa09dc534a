"""A board that is reached over ssh: ``ssh://[user@]host[:port]``, or an alias of the ssh config.

Files are sent once and kept there by their digest; one client uses a board at a time; whatever
ends the connection also ends what runs there and removes the working folder.
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
from edgetl.devices._process import ENVIRONMENT, called, failure, too_slow
from edgetl.devices._session import CutError, Patience, Session
from edgetl.errors import DeviceError
from edgetl.hashing import digest_file
from edgetl.runtime.bundle import runtime_files
from edgetl.types import Facts, Provenance

EXTRA = "ssh"

_Result = TypeVar("_Result")

_logger = logging.getLogger(__name__)

_CACHE_LIMIT_BYTES = 1 << 30
_PIECE_BYTES = 1 << 18
"""What a cut connection loses at most of a file."""
_LOCK_EVERY_S = 0.5
_DESCRIBE_TIMEOUT_S = 60.0
_FINGERPRINT = (
    "import json; from edgetl.runtime.host import fingerprint; print(json.dumps(fingerprint()))"
)


class SshConnection:
    """The working folder on a board; see `edgetl.devices.Connection`.

    A connection that is cut is made anew, once for each call, as long as the folder holds nothing
    but what was put there; afterwards what was made there is lost with it, and that is an error.
    """

    def __init__(self, device: SshDevice, *, exclusive: bool) -> None:
        self.sent_bytes = 0
        """Of files, so far."""
        self._device = device
        self._exclusive = exclusive
        self._session = Session(device.ssh, device.patience)
        self._token = secrets.token_hex(16)
        self._placed: dict[str, Path] = {}
        self._has_run = False

    def put(self, files: Mapping[str, Path]) -> None:
        """Bring `files` there, each only if it never was; see `edgetl.devices.Connection.put`."""
        self._again("files were sent", lambda session: self._put(session, files))
        self._placed.update(files)

    def run(self, arguments: Sequence[str], *, timeout_s: float) -> str:
        """Run Python; see `edgetl.devices.Connection.run`."""
        answer, printed = self._again(
            f"'{called(arguments)}' ran",
            lambda session: session.ask(
                "run",
                within_s=timeout_s,
                arguments=list(arguments),
                environment=ENVIRONMENT,
                timeout_s=timeout_s,
            ),
        )
        self._has_run = True
        address = self._device.ssh
        if not answer["in_time"]:
            raise too_slow(str(address), arguments, timeout_s)
        if answer["code"] != 0:
            pip = address.command(address.settings.python, "-m", "pip", "install")
            raise failure(
                str(address), arguments, code=answer["code"], said=answer["said"], pip=pip
            )
        return printed.decode("utf-8", errors="replace")

    def get(self, names: Sequence[str], folder: Path) -> None:
        """Copy files back; see `edgetl.devices.Connection.get`."""
        for name in names:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            fetch = partial(self._get, name=name, target=target)
            self._again(f"'{name}' was fetched", fetch)

    def open(self) -> None:
        """Connect, wait for the board to be free, and make the working folder.

        Raises:
            DeviceError: If it cannot be reached, or others use it for too long.
            CutError: If the connection is lost on the way.
        """
        device, session = self._device, self._session
        session.open()
        session.ask(
            "open",
            cache=device.ssh.settings.cache,
            limit_bytes=device.cache_limit_bytes,
            silence_s=device.patience.silence,
        )
        if self._exclusive:
            self._lock(session)
        session.ask("work")

    def close(self) -> None:
        """Leave nothing there but the cache."""
        self._session.close()

    def _again(self, doing: str, action: Callable[[Session], _Result]) -> _Result:
        """Do `action`; if the connection is cut, make it anew and do it once more."""
        name = str(self._device.ssh)
        try:
            return action(self._session)
        except CutError as error:
            if self._has_run:
                raise _cut(name, doing, "; what was made there is lost") from error
            _logger.warning("the connection to %s was cut while %s; once more", name, doing)
        self.close()
        self._session = Session(self._device.ssh, self._device.patience)
        try:
            self.open()
            self._put(self._session, self._placed)
            return action(self._session)
        except CutError as error:
            raise _cut(name, doing, ", twice") from error

    def _put(self, session: Session, files: Mapping[str, Path]) -> None:
        free_bytes = session.ask("memory")[0]["free_bytes"]
        require_memory(str(self._device.ssh), files, free_bytes)
        digests = {name: digest_file(path) for name, path in files.items()}
        wanted = session.ask("place", files=digests)[0]["wanted"]
        sources = {digests[name]: files[name] for name in wanted}
        for digest, source in sources.items():
            if not (self._send(session, digest, source) or self._send(session, digest, source)):
                raise DeviceError(
                    f"'{source}' does not arrive on device '{self._device.ssh}' as it is here",
                    remedy="leave the file alone while it is sent, and run again",
                )
        missing = session.ask("place", files={name: digests[name] for name in wanted})[0]["wanted"]
        if missing:
            raise DeviceError(
                f"device '{self._device.ssh}' does not keep '{missing[0]}' as it was sent",
                remedy="its disk may be failing: see what 'dmesg' says there",
            )

    def _send(self, session: Session, digest: str, source: Path) -> bool:
        """Send what the device lacks of `source`; return whether it has arrived unchanged."""
        answer, _ = session.ask("send", digest=digest, size=source.stat().st_size)
        with source.open("rb") as file:
            file.seek(answer["offset"])
            while answer["right"] is None:
                piece = file.read(_PIECE_BYTES)
                if not piece:  # it has become shorter
                    return False
                answer, _ = session.ask("piece", piece)
                self.sent_bytes += len(piece)
        return bool(answer["right"])

    def _get(self, session: Session, *, name: str, target: Path) -> None:
        with target.open("wb") as file:
            while True:
                answer, piece = session.ask("fetch", name=name, offset=file.tell())
                if answer["size"] is None:
                    break
                file.write(piece)
                if not piece or file.tell() >= answer["size"]:
                    return
        target.unlink()
        raise DeviceError(
            f"device '{self._device.ssh}' holds no file '{name}'", remedy="run what writes it first"
        )

    def _lock(self, session: Session) -> None:
        """Wait until no other client uses the board."""
        device = self._device
        name, patience = str(device.ssh), device.patience
        deadline = time.monotonic() + device.ssh.settings.wait
        told = False
        while True:
            answer, _ = session.ask(
                "lock", owner=_owner(), token=self._token, stale_s=patience.stale
            )
            if answer["taken"]:
                if answer["former"] is not None:
                    _logger.warning(
                        "%s was in use by %s, who gave no sign of life for %.0f s; taken over",
                        name,
                        _plain(answer["former"]),
                        answer["silent_s"],
                    )
                return
            if "owner" not in answer:  # it was given back just now
                continue
            if time.monotonic() >= deadline:
                raise _in_use(device.ssh, answer, patience.stale)
            if not told:
                told = True
                _logger.info("%s is in use by %s", name, _holder(answer))
            time.sleep(_LOCK_EVERY_S)


@dataclass(frozen=True, slots=True)
class SshDevice:
    """A board with an ssh server and Python."""

    ssh: SshAddress
    patience: Patience = field(default_factory=Patience)
    cache_limit_bytes: int = _CACHE_LIMIT_BYTES
    """What is kept there in all; a session that needs more at once may keep more."""

    @property
    def address(self) -> str:
        """The address without its settings."""
        return str(self.ssh)

    @property
    def provenance(self) -> str:
        """A time taken on the board is a time of the board."""
        return Provenance.MEASURED

    def describe(self) -> Facts:
        """Return the board's fingerprint, also while another client uses it."""
        with self._open(exclusive=False) as connection:
            connection.put(runtime_files())
            printed = connection.run(["-c", _FINGERPRINT], timeout_s=_DESCRIBE_TIMEOUT_S)
        found: Facts = json.loads(printed)
        return found

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
            except CutError as error:
                raise _cut(str(self.ssh), "it was made", "") from error
            yield connection
        finally:
            connection.close()


def parse(address: str) -> SshDevice:
    """Return the device at `address`; see `edgetl.devices._address.Settings` for what it may say.

    Raises:
        UsageError: If the address is not of the form.
        MissingPackageError: If asyncssh is not installed.
    """
    found = parse_address(address)
    if find_spec("asyncssh") is None:
        raise missing_package("ssh", "asyncssh")
    return SshDevice(found)


def _cut(name: str, doing: str, how: str) -> DeviceError:
    return DeviceError(
        f"the connection to device '{name}' was cut while {doing}{how}",
        remedy="run again: what was sent is kept there",
    )


def _in_use(address: SshAddress, answer: Facts, stale_s: float) -> DeviceError:
    if answer.get("silent_s", 0.0) > stale_s:
        return DeviceError(
            f"device '{address}' is in use by {_holder(answer)}, who gave no sign of life for "
            f"{answer['silent_s']:.0f} s and cannot be ended from this account",
            remedy="end it as its user or root: "
            + address.command("sudo", "kill", "-9", str(answer["pid"])),
        )
    return DeviceError(
        f"device '{address}' is in use by {_holder(answer)}; waited {address.settings.wait:g} s",
        remedy=f"try later, or wait longer: {address}?wait=3600",
    )


def _holder(answer: Facts) -> str:
    since = datetime.now().astimezone() - timedelta(seconds=answer.get("age_s", 0.0))
    return f"{_plain(answer.get('owner'))} since {since:%Y-%m-%d %H:%M:%S}"


def _plain(owner: object) -> str:
    """Return what anybody may have written there, without what moves a terminal's cursor."""
    text = str(owner or "somebody")
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _owner() -> str:
    """Return who holds the lock, for others to read: ``user@host pid 123``."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()} pid {os.getpid()}"
