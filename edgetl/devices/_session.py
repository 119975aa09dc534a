"""A session with the agent on a device: one ssh connection, in its own thread.

The thread keeps the connection alive while the caller computes; calls block.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import re
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

_Result = TypeVar("_Result")

_OLDEST_PYTHON = (3, 9)
_GREETING = "edgetl-agent"
_MAX_GREETING_LINES = 200
"""A login may print a banner before the greeting."""
_NOT_FOUND = 127
_NOT_RUNNABLE = 126
_TAIL_LINES = 3
_HOME = re.compile(r"~[A-Za-z0-9._-]*")

# Runs on any Python 3, so that an old one can report its version. `-c` puts the login folder on
# sys.path, where a stray json.py would shadow the standard library's.
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
class Timeouts:
    """Time limits of a session, seconds."""

    connect: float = 10.0
    """For the connection to the host, and again for the login."""
    start: float = 15.0
    """For Python to start once the login is done."""
    reply: float = 300.0
    """For the agent's reply; it may be checking a large file."""
    ping: float = 5.0
    """Between heartbeats."""
    missed_pings: int = 3
    """Number of unanswered heartbeats after which the connection counts as lost."""
    silence: float = 30.0
    """Without a heartbeat for this long, the agent considers the client gone and cleans up."""
    stale: float = 60.0
    """Without a heartbeat for this long, an agent counts as frozen and its lock as free."""


class ConnectionLostError(Exception):
    """The connection is lost, together with the agent's working folder."""


class Session:
    """An agent on a device, from `open` to `close`."""

    def __init__(self, address: SshAddress, timeouts: Timeouts) -> None:
        self._address = address
        self._timeouts = timeouts
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._connection: SSHClientConnection | None = None
        self._process: SSHClientProcess[bytes] | None = None
        self._pings: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Log in and start the agent.

        Raises:
            DeviceError: If that fails, with the reason and a remedy.
            ConnectionLostError: If the connection is lost meanwhile.
        """
        self._thread.start()
        self._wait(self._open())

    def request(
        self, name: str, payload: bytes = b"", /, *, within_s: float = 0.0, **fields: Fact
    ) -> tuple[Facts, bytes]:
        """Send a message to the agent and return its reply.

        Args:
            name: A method of `edgetl.devices._agent.serve.Agent`.
            payload: Bytes to send with it.
            within_s: Time allowed for the work itself, in addition to the usual time limit.
            fields: The method's other arguments.

        Raises:
            DeviceError: If the agent reports an error or has exited.
            ConnectionLostError: If the connection is lost.
        """
        message = {"request": name, **fields, "bytes": len(payload)}
        text = json.dumps(message).encode() + b"\n" + payload
        reply, data = self._wait(self._request(text, within_s + self._timeouts.reply))
        if "error" in reply:
            raise self._refused(reply)
        return reply, data

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

    def _refused(self, reply: Facts) -> DeviceError:
        """Return the error for a refusal by the device's operating system."""
        cache = self._address.settings.cache
        if reply["errno"] in {errno.ENOSPC, errno.EDQUOT}:
            return DeviceError(
                f"device '{self._address}' has no space left in {cache}; the incomplete file was "
                "removed",
                remedy="free some space there, or name a folder on another disk: "
                f"{self._address}?cache=/media/disk/edgetl",
            )
        if reply["errno"] in {errno.EACCES, errno.EROFS, errno.EPERM}:
            return DeviceError(
                f"device '{self._address}' denies write access to '{reply['file']}': "
                f"{reply['error']}",
                remedy=f"name a writable folder: {self._address}?cache=/tmp/edgetl",
            )
        return DeviceError(
            f"device '{self._address}' reports: {reply['error']}: '{reply['file']}'",
            remedy="fix this on the device and run again",
        )

    def _wait(self, work: Coroutine[None, None, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _open(self) -> None:
        import asyncssh

        settings, timeouts = self._address.settings, self._timeouts
        try:
            options = self._options()
        except (asyncssh.Error, OSError, ValueError) as error:
            raise DeviceError(
                f"device '{self._address}' cannot be contacted with these ssh settings: {error}",
                remedy=f"fix ~/.ssh/config or the key file {settings.identity or 'it names'}; add "
                "a key with a passphrase to the ssh agent: ssh-add",
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
            # Servers disconnect with a reason, but a connection reset may arrive before it.
            cut_short = (asyncssh.DisconnectError, ConnectionResetError, BrokenPipeError)
            if isinstance(error, cut_short) and await shows_another_key(options, keys):
                raise untrusted(self._address, options, keys) from error
            raise unreachable(self._address, error, timeouts.connect) from error
        await self._start(self._connection)
        self._pings = asyncio.create_task(self._ping())

    def _options(self) -> SSHClientConnectionOptions:
        import asyncssh

        address, timeouts = self._address, self._timeouts
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
            connect_timeout=timeouts.connect,
            login_timeout=timeouts.connect,
            keepalive_interval=timeouts.ping,
            keepalive_count_max=timeouts.missed_pings,
        )

    async def _start(self, connection: SSHClientConnection) -> None:
        import asyncssh

        text = json.dumps(sources()).encode()
        # ssh sends one string that the login shell splits, so it is quoted for that shell.
        bootstrap = _BOOTSTRAP % (_GREETING, len(text), len(text))
        command = f"{_quoted(self._address.settings.python)} {shlex.join(['-Esuc', bootstrap])}"
        try:
            self._process = await connection.create_process(
                command, encoding=None, env={}, send_env=None, request_pty=False
            )
            async with asyncio.timeout(self._timeouts.start):
                await self._greet(self._process)
            self._process.stdin.write(text)
        except TimeoutError as error:
            python = self._address.settings.python
            raise DeviceError(
                f"Python did not start on device '{self._address}' within "
                f"{self._timeouts.start:g} s of the login",
                remedy="a start-up file of its shell, such as ~/.bashrc, may wait for input: let "
                "it do so in terminals only. This command has to end by itself first: "
                f"{self._address.command(python, '-V')}",
            ) from error
        except (asyncssh.Error, OSError) as error:
            raise ConnectionLostError(str(error)) from error

    async def _greet(self, process: SSHClientProcess[bytes]) -> None:
        for _ in range(_MAX_GREETING_LINES):
            line = await process.stdout.readline()
            if not line:
                await self._ended(process)
            words = line.decode(errors="replace").split()
            if words[:1] == [_GREETING]:
                break
        else:
            raise DeviceError(
                f"the login of device '{self._address}' never stops printing",
                remedy="check what its shell start-up files print in a session without a terminal",
            )
        if tuple(map(int, words[1].split("."))) < _OLDEST_PYTHON:
            raise DeviceError(
                f"'{self._address.settings.python}' on device '{self._address}' is Python "
                f"{words[1]}; the runtime needs 3.9 or newer",
                remedy="install a newer one on the device and name it: "
                f"{self._address}?python=/usr/bin/python3.9",
            )

    async def _ended(self, process: SSHClientProcess[bytes]) -> None:
        """Raise the error that explains why the agent's output ended."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait_closed(), self._timeouts.connect)
        if not process.exit_status and process.exit_signal is None:
            raise ConnectionLostError("the connection was lost")
        stderr = (await process.stderr.read()).decode(errors="replace")
        lines = [line for line in stderr.splitlines() if line.strip()] or ["no error output"]
        quoted = " | ".join(lines[-_TAIL_LINES:])
        python = self._address.settings.python
        if process.exit_status in {_NOT_FOUND, _NOT_RUNNABLE}:
            raise DeviceError(
                f"device '{self._address}' cannot start '{python}': {quoted}",
                remedy="install Python 3.9 or newer there (sudo apt install python3) or name it: "
                f"{self._address}?python=/usr/bin/python3",
            )
        if process.exit_signal is not None:
            raise DeviceError(
                f"edgetl's agent on device '{self._address}' was killed by "
                f"SIG{process.exit_signal[0]}",
                remedy="it may have run out of memory, or another client took the device over: "
                "check the output of 'dmesg' there",
            )
        raise DeviceError(
            f"edgetl's agent on device '{self._address}' exited with {process.exit_status}: "
            f"{quoted}",
            remedy=f"get this command to work first: {self._address.command(python, '-V')}",
        )

    async def _request(self, text: bytes, timeout_s: float) -> tuple[Facts, bytes]:
        import asyncssh

        process = self._process
        if process is None:
            raise ConnectionLostError("the connection was lost")
        try:
            async with asyncio.timeout(timeout_s):
                process.stdin.write(text)
                line = await process.stdout.readline()
                if not line.endswith(b"\n"):
                    await self._ended(process)
                reply: Facts = json.loads(line)
                return reply, await process.stdout.readexactly(reply.pop("bytes"))
        except (asyncssh.Error, OSError, asyncio.IncompleteReadError) as error:
            if isinstance(error, BrokenPipeError):
                await self._ended(process)
            raise ConnectionLostError(str(error) or type(error).__name__) from error

    async def _ping(self) -> None:
        process = self._process
        with contextlib.suppress(OSError):  # the next request reports the lost connection
            while process is not None:
                await asyncio.sleep(self._timeouts.ping)
                process.stdin.write(b'{"request": "ping"}\n')

    async def _close(self) -> None:
        import asyncssh

        if self._pings is not None:
            self._pings.cancel()
        if self._process is not None:
            with contextlib.suppress(asyncssh.Error, OSError, TimeoutError):
                self._process.stdin.write_eof()
                await asyncio.wait_for(self._process.wait_closed(), self._timeouts.connect)
        if self._connection is not None:
            self._connection.close()
            with contextlib.suppress(asyncssh.Error, OSError):
                await self._connection.wait_closed()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def _quoted(program: str) -> str:
    """Return `program` quoted for the login shell, which replaces a home folder: ``~``, ``~user``.

    Only the device knows that folder.
    """
    home, slash, rest = program.partition("/")
    if slash and rest and _HOME.fullmatch(home):
        return f"{home}/{shlex.quote(rest)}"
    return shlex.quote(program)
