"""A conversation with the agent on a device: one ssh connection, in a thread of its own.

The thread keeps the connection alive while the caller computes; callers block.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import shlex
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from edgetl.devices._address import SshAddress
from edgetl.devices._agent import sources
from edgetl.devices._trust import (
    not_let_in,
    read_host_keys,
    shows_another_key,
    unreachable,
    untrusted,
)
from edgetl.errors import DeviceError
from edgetl.types import Fact, Facts

if TYPE_CHECKING:
    from asyncssh import SSHClientConnection, SSHClientConnectionOptions, SSHClientProcess

_Answer = TypeVar("_Answer")

_OLDEST_PYTHON = (3, 9)
_GREETING = "edgetl-agent"
_MAX_GREETING_LINES = 200
"""A login may print a banner first."""
_NOT_FOUND = 127
_NOT_RUNNABLE = 126
_TAIL_LINES = 3

# Runs on any Python, so that an old one can say that it is old. `-c` puts the login folder on
# sys.path, where a stray json.py would be taken for Python's own.
_BOOTSTRAP = """\
import os, sys
sys.path = [path for path in sys.path if path]
os.write(1, ("\\n%s %%d.%%d\\n" %% sys.version_info[:2]).encode())
text = b""
while sys.version_info >= (3, 9) and len(text) < %d:
    piece = os.read(0, %d - len(text))
    if not piece:
        sys.exit(0)
    text += piece
if text:
    import json, types
    for name, source in json.loads(text.decode()):
        sys.modules[name] = types.ModuleType(name)
        exec(compile(source, name, "exec"), sys.modules[name].__dict__)
    sys.modules[name].main()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long each side waits for the other, seconds."""

    connect: float = 10.0
    """For the host to answer, and as long again for the login."""
    answer: float = 300.0
    """For the agent to answer; it may be checking a large file."""
    ping: float = 5.0
    """Between signs of life."""
    missed_pings: int = 3
    """So many without an answer, and the connection counts as cut."""
    silence: float = 30.0
    """Without a sign of life the agent counts the client as gone, and cleans up."""
    stale: float = 60.0
    """Without a sign of life an agent counts as frozen, and its lock as free."""


class CutError(Exception):
    """The connection is gone; what the agent had in work went with it."""


class Session:
    """An agent on a device, from `open` to `close`."""

    def __init__(self, address: SshAddress, patience: Patience) -> None:
        self._address = address
        self._patience = patience
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._connection: SSHClientConnection | None = None
        self._process: SSHClientProcess[bytes] | None = None
        self._pings: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Log in and start the agent.

        Raises:
            DeviceError: If that fails; says why and what helps.
            CutError: If the connection is lost on the way.
        """
        self._thread.start()
        self._wait(self._open())

    def ask(
        self, name: str, payload: bytes = b"", /, *, within_s: float = 0.0, **fields: Fact
    ) -> tuple[Facts, bytes]:
        """Send a message to the agent and return its answer.

        Args:
            name: A method of `edgetl.devices._agent.serve.Agent`.
            payload: Bytes that go with it.
            within_s: How long the work takes at most; comes on top of the usual patience.
            fields: The method's other arguments.

        Raises:
            DeviceError: If the agent refuses, or ended by itself.
            CutError: If the connection is lost.
        """
        message = {"ask": name, **fields, "bytes": len(payload)}
        text = json.dumps(message).encode() + b"\n" + payload
        answer, data = self._wait(self._ask(text, within_s + self._patience.answer))
        if "error" in answer:
            raise self._refused(answer)
        return answer, data

    def close(self) -> None:
        """End the agent, wait until it has cleaned up, and close the connection."""
        if not self._thread.is_alive():
            self._loop.close()
            return
        try:
            self._wait(self._close())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def _refused(self, answer: Facts) -> DeviceError:
        """Return the error of what the device's system refused."""
        cache = self._address.settings.cache
        if answer["errno"] in {errno.ENOSPC, errno.EDQUOT}:
            return DeviceError(
                f"device '{self._address}' has no space left in {cache}; what was sent of the file "
                "is removed",
                remedy="free some there, or name a folder on another disk: "
                f"{self._address}?cache=/media/disk/edgetl",
            )
        if answer["errno"] in {errno.EACCES, errno.EROFS, errno.EPERM}:
            return DeviceError(
                f"device '{self._address}' does not let its user write '{answer['file']}': "
                f"{answer['error']}",
                remedy=f"name a folder that may be written: {self._address}?cache=/tmp/edgetl",
            )
        return DeviceError(
            f"device '{self._address}' reports: {answer['error']}: '{answer['file']}'",
            remedy="mend it there and run again",
        )

    def _wait(self, work: Coroutine[None, None, _Answer]) -> _Answer:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _open(self) -> None:
        import asyncssh

        settings, patience = self._address.settings, self._patience
        try:
            options = self._options()
        except (asyncssh.Error, OSError, ValueError) as error:
            raise DeviceError(
                f"device '{self._address}' cannot be called with these ssh settings: {error}",
                remedy=f"mend ~/.ssh/config or the key file {settings.identity or 'it names'}; a "
                "key with a passphrase goes into the agent: ssh-add",
            ) from error
        keys = read_host_keys(self._address, options)
        try:
            self._connection = await asyncssh.connect(
                self._address.host,
                options=options,
                known_hosts=keys.known,
                client_factory=keys.client,
            )
        except asyncssh.HostKeyNotVerifiable as error:
            raise untrusted(self._address, options, keys) from error
        except asyncssh.PermissionDenied as error:
            raise not_let_in(self._address, options) from error
        except (asyncssh.Error, OSError) as error:
            # Servers hang up with a reason, which a reset of the connection may overtake.
            cut_short = (asyncssh.DisconnectError, ConnectionResetError, BrokenPipeError)
            if isinstance(error, cut_short) and await shows_another_key(options, keys):
                raise untrusted(self._address, options, keys) from error
            raise unreachable(self._address, error, patience.connect) from error
        await self._start(self._connection)
        self._pings = asyncio.create_task(self._ping())

    def _options(self) -> SSHClientConnectionOptions:
        import asyncssh

        address, patience = self._address, self._patience
        return asyncssh.SSHClientConnectionOptions(
            config=(),  # the one in ~/.ssh
            host=address.host,
            port=() if address.port is None else address.port,
            username=() if address.user is None else address.user,
            client_keys=() if address.settings.identity is None else [address.settings.identity],
            agent_path=() if address.settings.identity is None else None,
            preferred_auth="publickey",
            password_auth=False,
            kbdint_auth=False,
            gss_auth=False,
            gss_kex=False,
            agent_forwarding=False,
            x11_forwarding=False,
            connect_timeout=patience.connect,
            login_timeout=patience.connect,
            keepalive_interval=patience.ping,
            keepalive_count_max=patience.missed_pings,
        )

    async def _start(self, connection: SSHClientConnection) -> None:
        import asyncssh

        text = json.dumps(sources()).encode()
        # ssh sends one string, which the login shell there splits: it is quoted for that shell.
        bootstrap = _BOOTSTRAP % (_GREETING, len(text), len(text))
        command = shlex.join([self._address.settings.python, "-Esuc", bootstrap])
        try:
            self._process = await connection.create_process(
                command, encoding=None, env={}, send_env=None, request_pty=False
            )
            await self._greet(self._process)
            self._process.stdin.write(text)
        except (asyncssh.Error, OSError) as error:
            raise CutError(str(error)) from error

    async def _greet(self, process: SSHClientProcess[bytes]) -> None:
        for _ in range(_MAX_GREETING_LINES):
            line = await asyncio.wait_for(process.stdout.readline(), self._patience.answer)
            if not line:
                await self._ended(process)
            words = line.decode(errors="replace").split()
            if words[:1] == [_GREETING]:
                break
        else:
            raise DeviceError(
                f"the login of device '{self._address}' prints without end",
                remedy="see what its shell start-up files print to those who have no terminal",
            )
        if tuple(map(int, words[1].split("."))) < _OLDEST_PYTHON:
            raise DeviceError(
                f"'{self._address.settings.python}' on device '{self._address}' is Python "
                f"{words[1]}; the runtime needs 3.9 or newer",
                remedy="install a newer one there and name it: "
                f"{self._address}?python=/usr/bin/python3.9",
            )

    async def _ended(self, process: SSHClientProcess[bytes]) -> None:
        """Raise what the end of the agent's output means."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait_closed(), self._patience.connect)
        if not process.exit_status and process.exit_signal is None:
            raise CutError("the connection was cut")
        said = (await process.stderr.read()).decode(errors="replace")
        lines = [line for line in said.splitlines() if line.strip()] or ["it said nothing"]
        quoted = " | ".join(lines[-_TAIL_LINES:])
        python = self._address.settings.python
        if process.exit_status in {_NOT_FOUND, _NOT_RUNNABLE}:
            raise DeviceError(
                f"device '{self._address}' cannot start '{python}': {quoted}",
                remedy="install Python 3.9 or newer there (sudo apt install python3), or name it: "
                f"{self._address}?python=/usr/bin/python3",
            )
        if process.exit_signal is not None:
            raise DeviceError(
                f"edgetl's agent on device '{self._address}' was killed by "
                f"SIG{process.exit_signal[0]}",
                remedy="its memory may not be enough, or another client took the device over: see "
                "what 'dmesg' says there",
            )
        raise DeviceError(
            f"edgetl's agent on device '{self._address}' ended with {process.exit_status}: "
            f"{quoted}",
            remedy=f"make this work first: {self._address.command(python, '-V')}",
        )

    async def _ask(self, text: bytes, patience_s: float) -> tuple[Facts, bytes]:
        import asyncssh

        process = self._process
        if process is None:
            raise CutError("the connection was cut")
        try:
            async with asyncio.timeout(patience_s):
                process.stdin.write(text)
                line = await process.stdout.readline()
                if not line.endswith(b"\n"):
                    await self._ended(process)
                answer: Facts = json.loads(line)
                return answer, await process.stdout.readexactly(answer.pop("bytes"))
        except (asyncssh.Error, OSError, asyncio.IncompleteReadError) as error:
            if isinstance(error, BrokenPipeError):
                await self._ended(process)
            raise CutError(str(error) or type(error).__name__) from error

    async def _ping(self) -> None:
        process = self._process
        with contextlib.suppress(OSError):  # whoever asks next hears that it is cut
            while process is not None:
                await asyncio.sleep(self._patience.ping)
                process.stdin.write(b'{"ask": "ping"}\n')

    async def _close(self) -> None:
        import asyncssh

        if self._pings is not None:
            self._pings.cancel()
        if self._process is not None:
            with contextlib.suppress(asyncssh.Error, OSError, TimeoutError):
                self._process.stdin.write_eof()
                await asyncio.wait_for(self._process.wait_closed(), self._patience.connect)
        if self._connection is not None:
            self._connection.close()
            with contextlib.suppress(asyncssh.Error, OSError):
                await self._connection.wait_closed()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
