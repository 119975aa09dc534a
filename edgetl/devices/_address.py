"""The address of a device over ssh: ``ssh://[user@]host[:port][?python=...&identity=...]``."""

from __future__ import annotations

import difflib
import re
import shlex
from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import parse_qsl

from edgetl.errors import UsageError

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
    """What may follow the ``?`` of an address."""

    python: str = PYTHON
    """The device's Python, by name or path there; one of an environment that has the engine."""
    identity: Path | None = None
    """The only key file to offer; None: the agent's keys and those that ssh would take."""
    known_hosts: Path | None = None
    """The only file with host keys to trust; None: the ones that ssh reads."""
    cache: str = CACHE_FOLDER
    """Folder on the device that keeps what was sent."""
    wait: float = WAIT_S
    """How long to wait while another client uses the device, seconds."""


@dataclass(frozen=True, slots=True)
class SshAddress:
    """A place that an ssh client can go to."""

    host: str
    """A name, an IP address without brackets, or an alias of the user's ssh config."""
    user: str | None
    """None: the ssh config's, or the name of who runs this."""
    port: int | None
    """None: the ssh config's, or 22."""
    settings: Settings

    def __str__(self) -> str:
        """Return the address without its settings, for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port else ""
        return f"ssh://{self.login_prefix}{host}{port}"

    @property
    def login_prefix(self) -> str:
        """Return ``user@``, or nothing where the ssh config decides."""
        return f"{self.user}@" if self.user else ""

    def command(self, *words: str, program: str = "ssh") -> str:
        """Return an ssh command line that a person can paste, with `words` to run there."""
        parts = [program]
        if self.port:
            parts += ["-p", str(self.port)]
        return shlex.join([*parts, f"{self.login_prefix}{self.host}", *words])


def parse_address(address: str) -> SshAddress:
    """Return the parts of `address`.

    Raises:
        UsageError: If it has another form, a password, or a setting that there is not.
    """
    has_form = address.startswith("ssh://")
    place = address.removeprefix("ssh://") if has_form else address.removeprefix("ssh").lstrip(":/")
    found = _PLACE.fullmatch(place)
    if found is not None and found["password"] is not None:
        raise UsageError(
            f"the address of '{found['host']}' holds a password; passwords are never used",
            remedy=f"bring a key there with ssh-copy-id, and write {_FORM}",
        )
    if found is None or not has_form:
        meant = f"did you mean 'ssh://{place}'? " if found else ""
        raise UsageError(f"'{address}' names no ssh device", remedy=f"{meant}write {_FORM}")
    if found["host"].startswith("-") or (found["user"] or "").startswith("-"):
        raise UsageError(f"a name in '{address}' begins with '-'", remedy=f"write {_FORM}")
    port = int(found["port"]) if found["port"] else None
    if port is not None and not 1 <= port <= _MAX_PORT:
        raise UsageError(f"'{address}' names port {port}", remedy=f"name one from 1 to {_MAX_PORT}")
    settings = _settings(found["query"] or "", address)
    return SshAddress(found["host"].strip("[]"), found["user"], port, settings)


def _settings(query: str, address: str) -> Settings:
    known = [field.name for field in fields(Settings)]
    given: dict[str, str] = {}
    for key, text in parse_qsl(query, keep_blank_values=True):
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            meant = f"Did you mean '{close[0]}'? " if close else ""
            raise UsageError(
                f"unknown setting '{key}' in '{address}'",
                remedy=f"{meant}Known: {', '.join(known)}.",
            )
        if key in given or not text:
            raise UsageError(
                f"setting '{key}' in '{address}' has no value or two", remedy=f"write {key}=VALUE"
            )
        given[key] = text
    wait = given.get("wait", str(WAIT_S))
    if _SECONDS.fullmatch(wait) is None:
        raise UsageError(
            f"setting 'wait' in '{address}' is '{wait}'", remedy="write seconds, such as wait=600"
        )
    return Settings(
        python=given.get("python", PYTHON),
        identity=_file(given, "identity", address),
        known_hosts=_file(given, "known_hosts", address),
        cache=given.get("cache", CACHE_FOLDER),
        wait=float(wait),
    )


def _file(given: dict[str, str], key: str, address: str) -> Path | None:
    if key not in given:
        return None
    path = Path(given[key]).expanduser()
    if not path.is_file():
        raise UsageError(
            f"setting '{key}' in '{address}' names {path}, which is no file here",
            remedy="name one of this machine, or leave it out for what ssh would take",
        )
    return path
