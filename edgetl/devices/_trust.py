"""Trusted host keys, and the errors of hosts that are untrusted, unreachable or deny access."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edgetl.devices._address import SshAddress
from edgetl.errors import DeviceError

if TYPE_CHECKING:
    from asyncssh import SSHClient, SSHClientConnectionOptions, SSHKey
    from asyncssh.known_hosts import SSHKnownHosts

_SYSTEM_KNOWN_HOSTS = Path("/etc/ssh/ssh_known_hosts")
_SSH_PORT = 22
_NOWHERE = {os.devnull, "none"}
"""What an ssh config names as its file of known hosts so that no key is kept."""


@dataclass(slots=True)
class HostKeys:
    """The trusted host keys, and a server's key that was refused."""

    files: Sequence[Path]
    """Files that were read; new keys belong into the first one."""
    known: SSHKnownHosts
    refused: SSHKey | None = None
    """The key that the server presented, if it is not trusted."""
    expected: Sequence[SSHKey] = field(default_factory=list)
    """The known keys of the server's address."""
    ask: Sequence[str] = ()
    """Options that ssh needs to ask about a new key and keep it."""

    def client(self) -> SSHClient:
        """Return a client that records a host key that it refuses."""
        import asyncssh

        keys = self

        class Watchful(asyncssh.SSHClient):
            def validate_host_public_key(
                self, host: str, addr: str, port: int, key: SSHKey
            ) -> bool:
                keys.refused = key
                matches = keys.known.match(host, addr, None if port == _SSH_PORT else port)
                keys.expected = matches[0]
                return False

        return Watchful()


def read_host_keys(address: SshAddress, options: SSHClientConnectionOptions) -> HostKeys:
    """Read the files that ssh would read; unlike asyncssh, trust no host if they are empty.

    Raises:
        DeviceError: If a file cannot be read.
    """
    import asyncssh

    ask: list[str] = []
    if address.settings.known_hosts is not None:
        files = [address.settings.known_hosts]
    else:
        # None if the ssh config disables the check, which stays enabled here.
        configured = options.known_hosts
        named = configured if isinstance(configured, list) else []
        keeping = [str(name) for name in named if str(name) not in _NOWHERE]
        files = [Path(name).expanduser() for name in keeping or ["~/.ssh/known_hosts"]]
        if configured is None or len(keeping) < len(named):
            checked = ("StrictHostKeyChecking=ask", f"UserKnownHostsFile={files[0]}")
            ask = [word for option in checked for word in ("-o", option)]
        files.append(_SYSTEM_KNOWN_HOSTS)
    try:
        known = asyncssh.import_known_hosts(
            "\n".join(path.read_text(encoding="utf-8") for path in files if path.is_file())
        )
    except (OSError, ValueError) as error:
        raise DeviceError(
            f"the known host keys of device '{address}' cannot be read: {error}",
            remedy=f"fix {shlex.join(map(str, files))}",
        ) from error
    return HostKeys(files, known, ask=ask)


async def shows_another_key(options: SSHClientConnectionOptions, keys: HostKeys) -> bool:
    """Return whether a known server only has host keys of other types than the known ones.

    Client and server then agree on no key type and disconnect without mentioning keys. The
    server's key is recorded as refused.
    """
    import asyncssh

    keys.expected = keys.known.match(_name(options), "", _unusual_port(options))[0]
    if not keys.expected:
        return False
    with contextlib.suppress(asyncssh.Error, OSError):
        async with asyncio.timeout(options.connect_timeout):
            keys.refused = await asyncssh.get_server_host_key(
                options.host, options.port, config=None, server_host_key_algs="default"
            )
    return keys.refused is not None and keys.refused not in keys.expected


def untrusted(
    address: SshAddress, options: SSHClientConnectionOptions, keys: HostKeys
) -> DeviceError:
    """Return the error for a host key that is unknown or differs from the known one."""
    port = _unusual_port(options)
    name = _name(options)
    place = f"[{name}]:{port}" if port else name
    file = shlex.quote(str(keys.files[0]))
    scan = ["ssh-keyscan", *(["-p", str(port)] if port else []), options.host]
    accept = f"{shlex.join(scan)} >> {file}"
    if name != address.host:  # an alias, perhaps behind a jump host: only ssh itself can reach it
        accept = f"{address.command('true', options=keys.ask)}, which asks for confirmation"
    shown = keys.refused.get_fingerprint() if keys.refused else "none"
    if keys.expected:
        known = " or ".join(dict.fromkeys(key.get_fingerprint() for key in keys.expected))
        return DeviceError(
            f"the host key of device '{address}' has changed: it presents {shown}, but the known "
            f"key is {known}; either its system was reinstalled, or another machine responds in "
            "its place and would receive your files; nothing was sent",
            remedy="ask its administrator, and only if its system was reinstalled: "
            f"ssh-keygen -R {shlex.quote(place)} -f {file} && {accept}",
        )
    return DeviceError(
        f"the host key of device '{address}' is unknown: it presents {shown}; nothing was sent",
        remedy="compare it with 'ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub' on the device "
        f"(or the file of another key type), then: {accept}",
    )


def not_let_in(address: SshAddress, options: SSHClientConnectionOptions) -> DeviceError:
    """Return the error for a user or key that the server refuses, without telling which."""
    identity = address.settings.identity
    tried = f"the key {identity}" if identity else "the keys of the ssh agent and of ~/.ssh"
    copy = address.command(program="ssh-copy-id")
    if identity:
        copy = copy.replace("ssh-copy-id", f"ssh-copy-id -i {shlex.quote(str(identity))}", 1)
    return DeviceError(
        f"device '{address}' refuses user '{options.username}' with {tried}; "
        "passwords are never tried",
        remedy=f"check the user name, or install the key there: {copy}",
    )


def unreachable(address: SshAddress, error: Exception, timeout_s: float) -> DeviceError:
    """Return the error for a host where no ssh server responds."""
    host = address.host
    if isinstance(error, socket.gaierror):
        return DeviceError(
            f"device '{address}' cannot be reached: the host name '{host}' cannot be resolved",
            remedy="fix the name, write the IP address, or add the alias to ~/.ssh/config",
        )
    if isinstance(error, ConnectionRefusedError):
        return DeviceError(
            f"device '{address}' cannot be reached: '{host}' refuses connections to port "
            f"{address.port or _SSH_PORT}",
            remedy="start its ssh server (sudo systemctl enable --now ssh), or name its port: "
            "ssh://host:2222",
        )
    if isinstance(error, TimeoutError):
        return DeviceError(
            f"device '{address}' cannot be reached: '{host}' did not respond within "
            f"{timeout_s:g} s",
            remedy=f"check that it is on and in this network: ping {shlex.quote(host)}",
        )
    return DeviceError(
        f"device '{address}' cannot be reached: {error}",
        remedy=f"get this command to work first: {address.command('true')}",
    )


def _name(options: SSHClientConnectionOptions) -> str:
    """Return the host's name in files of known hosts."""
    return options.host_key_alias or options.host


def _unusual_port(options: SSHClientConnectionOptions) -> int | None:
    return None if options.port == _SSH_PORT else options.port
