"""The address of a device over ssh: ``ssh://[user@]host[:port][?python=...&identity=...]``."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import parse_qsl

from edgetl.errors import UsageError, known_names

PYTHON = "python3"
CACHE_FOLDER = "~/.cache/edgetl"
WAIT_S = 60.0

_FORM = "ssh://user@host, ssh://user@host:2222 or ssh://alias-of-ssh-config"
_PLACE = re.compile(
    r"(?:(?P<user>[^@:/?#]+)(?P<password>:[^@/?#]*)?@)?"
    r"(?P<host>\[[0-9A-Za-z:.%]+\]|[^@:/?#\[\]]+)"
    r"(?::(?P<port>[0-9]{1,5}))?/?(?:\?(?P<query>[^#]*))?"
)
_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")
_MAX_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings after the ``?`` of an address."""

    python: str = PYTHON
    """Name or path of the device's Python, in an environment that has the engine; the device
    expands a leading ``~``."""
    identity: Path | None = None
    """The only key file to offer; None for the agent's keys and ssh's default ones."""
    known_hosts: Path | None = None
    """The only file of trusted host keys; None for ssh's default files."""
    cache: str = CACHE_FOLDER
    """Folder on the device for files that were sent."""
    wait: float = WAIT_S
    """How long to wait while another client uses the device, seconds."""


@dataclass(frozen=True, slots=True)
class SshAddress:
    """Destination of an ssh client, and settings."""

    host: str
    """A name, an IP address without brackets, or an alias in the user's ssh config."""
    user: str | None
    """None for the ssh config's user or the current user."""
    port: int | None
    """None for the ssh config's port or 22."""
    settings: Settings

    def __str__(self) -> str:
        """Return the address without its settings, for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port else ""
        return f"ssh://{self.login_prefix}{host}{port}"

    @property
    def login_prefix(self) -> str:
        """Return ``user@``, or an empty string if the ssh config decides."""
        return f"{self.user}@" if self.user else ""

    def command(self, *words: str, program: str = "ssh", options: Sequence[str] = ()) -> str:
        """Return an ssh command for the user to paste, which runs `words` on the device."""
        parts = [program, *options]
        if self.port:
            parts += ["-p", str(self.port)]
        return shlex.join([*parts, f"{self.login_prefix}{self.host}", *words])


def parse_address(address: str) -> SshAddress:
    """Parse `address`.

    Raises:
        UsageError: If it is malformed, or contains a password or an unknown setting.
    """
    has_form = address.startswith("ssh://")
    place = address.removeprefix("ssh://") if has_form else address.removeprefix("ssh").lstrip(":/")
    match = _PLACE.fullmatch(place)
    if match is not None and match["password"] is not None:
        raise UsageError(
            f"the address of '{match['host']}' contains a password; passwords are never used",
            remedy=f"install a key there with ssh-copy-id, and write {_FORM}",
        )
    if match is None or not has_form:
        hint = f"did you mean 'ssh://{place}'? " if match else ""
        raise UsageError(
            f"'{address}' is not the address of an ssh device", remedy=f"{hint}write {_FORM}"
        )
    if match["host"].startswith("-") or (match["user"] or "").startswith("-"):
        raise UsageError(f"a name in '{address}' begins with '-'", remedy=f"write {_FORM}")
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 1 <= port <= _MAX_PORT:
        raise UsageError(
            f"'{address}' has port {port}", remedy=f"write a port from 1 to {_MAX_PORT}"
        )
    settings = _settings(match["query"] or "", address)
    return SshAddress(match["host"].strip("[]"), match["user"], port, settings)


def _settings(query: str, address: str) -> Settings:
    known = [field.name for field in fields(Settings)]
    texts: dict[str, str] = {}
    for key, text in parse_qsl(query, keep_blank_values=True):
        if key not in known:
            raise UsageError(
                f"unknown setting '{key}' in '{address}'", remedy=known_names(key, known)
            )
        if key in texts or not text:
            raise UsageError(
                f"setting '{key}' in '{address}' needs exactly one value",
                remedy=f"write {key}=VALUE",
            )
        texts[key] = text
    wait = texts.get("wait", str(WAIT_S))
    if _SECONDS.fullmatch(wait) is None:
        raise UsageError(
            f"setting 'wait' in '{address}' is not a number of seconds: '{wait}'",
            remedy="write seconds, such as wait=600",
        )
    return Settings(
        python=texts.get("python", PYTHON),
        identity=_file(texts, "identity", address),
        known_hosts=_file(texts, "known_hosts", address),
        cache=texts.get("cache", CACHE_FOLDER),
        wait=float(wait),
    )


def _file(texts: dict[str, str], key: str, address: str) -> Path | None:
    if key not in texts:
        return None
    path = Path(texts[key]).expanduser()
    if not path.is_file():
        raise UsageError(
            f"setting '{key}' in '{address}' names {path}, which is not a file on this machine",
            remedy="name a file on this machine, or omit the setting to use ssh's default",
        )
    return path
