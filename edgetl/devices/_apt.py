"""Fetch packages of another Debian system or architecture with this machine's apt, apart from it.

apt works in a folder of its own: nothing is installed, and the machine's package lists stay as they
are. apt checks the archive's signature with Debian's keys, follows dependencies, and compares each
file with the digest in the signed index. Of the machine's own configuration it takes how the
network is reached (proxies, certificates), and from where Debian is fetched.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from edgetl.errors import DeviceError
from edgetl.hashing import digest_file

_KEYRINGS = (
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    Path("/usr/share/keyrings/debian-archive-keyring.pgp"),
)
_NETWORK_SETTINGS = ("Acquire::http", "Acquire::https", "Acquire::ForceIPv4")
_RETRIES = 2
_TIMEOUT_S = 900.0
_TAIL_LINES = 3
_MIRROR = re.compile(r"^'(\S+/debian)/+dists/", re.MULTILINE)
_OUT_OF_REACH = ("Could not connect", "Could not resolve", "Temporary failure", "timed out")
_DEBIANS_OWN = "http://deb.debian.org/debian"
"""Where the machine's sources name no mirror of Debian, as on Ubuntu; the signature is checked."""
_MIRROR_REMEDY = "name one in the device's address: emulated:cortex-a72?mirror=http://..."


@dataclass(frozen=True, slots=True)
class Archive:
    """Where Debian's packages come from and whose signature they bear."""

    mirror: str
    """Address of the folder that holds ``dists`` and ``pool``."""
    keyring: Path


@dataclass(frozen=True, slots=True)
class Package:
    """A fetched package; apt has compared it with the signed index."""

    file: Path
    sha256: str

    @property
    def name(self) -> str:
        """``<package>_<version>_<architecture>``."""
        return unquote(self.file.stem)


def find_archive(mirror: str | None) -> Archive:
    """Return the archive at `mirror`, else at the mirror that this machine uses, else Debian's own.

    Raises:
        DeviceError: If Debian's keys are not here, or there is no apt.
    """
    keyring = next((path for path in _KEYRINGS if path.is_file()), None)
    if keyring is None:
        raise DeviceError(
            f"Debian's keys are not on this machine ({_KEYRINGS[0]}), so its packages cannot be "
            "trusted",
            remedy="apt-get install debian-archive-keyring",
        )
    return Archive(mirror or _own_mirror(), keyring)


def fetch(
    packages: Sequence[str], *, suite: str, architecture: str, archive: Archive, folder: Path
) -> tuple[Package, ...]:
    """Fetch `packages` and what they depend on into `folder`, sorted by name.

    Recommended packages are left out. Versions are those that the suite holds today.

    Args:
        packages: Debian's names.
        suite: For example ``bookworm``.
        architecture: Debian's name: ``amd64``, ``arm64``.
        archive: Where from.
        folder: An existing folder.

    Raises:
        DeviceError: If there is no apt, the network is out of reach, the signature or a digest is
            wrong, or a package is unknown; with what apt says.
    """
    # Not below `folder`: apt drops root's rights for the network and must still get here.
    with tempfile.TemporaryDirectory(prefix="edgetl-apt-") as name:
        state = Path(name)
        state.chmod(0o755)
        _prepare(state, suite, architecture, archive)
        what = f"the index of Debian {suite} for {architecture}"
        _apt(["apt-get", "-q", "update"], what, state / "apt.conf")
        command = ["apt-get", "-q", "--yes", "--no-install-recommends", "--download-only"]
        what = f"the packages {', '.join(packages)} of Debian {suite} for {architecture}"
        _apt([*command, "install", *packages], what, state / "apt.conf")
        fetched = sorted((state / "cache" / "archives").glob("*.deb"))
        placed = [Path(shutil.move(path, folder / path.name)) for path in fetched]
    return tuple(Package(path, digest_file(path)) for path in placed)


def _own_mirror() -> str:
    """Return a mirror of Debian that the machine's own sources name, fetched from or not."""
    # It prints what an update would fetch, and fetches nothing.
    command = ["apt-get", "--option", "Debug::NoLocking=1", "--print-uris", "update"]
    mirrors = _MIRROR.findall(_apt(command, "the list of mirrors", None))
    return str(mirrors[0]) if mirrors else _DEBIANS_OWN


def _prepare(state: Path, suite: str, architecture: str, archive: Archive) -> None:
    """Write what apt needs to work in `state` alone."""
    for folder in ("lists/partial", "cache/archives/partial", "empty"):
        (state / folder).mkdir(parents=True)
    (state / "status").touch()
    # From a `file:` apt would install without a copy, and there would be nothing to unpack.
    mirror = re.sub("^file:", "copy:", archive.mirror)
    (state / "sources.list").write_text(
        f"deb [arch={architecture} signed-by={archive.keyring}] {mirror} {suite} main\n",
        encoding="utf-8",
    )
    network = ["apt-config", "dump", "--no-empty", *_NETWORK_SETTINGS]
    settings = {
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Update::Error-Mode": "any",  # else it goes on with an index that it could not fetch
        "Acquire::Languages": "none",
        "Acquire::Retries": _RETRIES,
        "Dir::State": state,
        "Dir::State::lists": state / "lists",
        "Dir::State::status": state / "status",
        "Dir::Cache": state / "cache",
        "Dir::Etc::sourcelist": state / "sources.list",
        "Dir::Etc::sourceparts": state / "empty",
        "Dir::Etc::preferences": state / "empty" / "preferences",
        "Dir::Etc::preferencesparts": state / "empty",
        # The machine's own files: hooks that run after an update are not ours to run.
        "Dir::Etc::main": state / "empty" / "apt.conf",
        "Dir::Etc::parts": state / "empty",
    }
    text = _apt(network, "the network settings", None)
    text += "".join(f'{key} "{value}";\n' for key, value in settings.items())
    (state / "apt.conf").write_text(text, encoding="utf-8")


def _apt(command: Sequence[str], what: str, config: Path | None) -> str:
    """Run apt and return what it prints.

    Args:
        command: Program and arguments.
        what: What is asked of it, for messages.
        config: The file to be read before all others, None for the machine's own settings alone.
    """
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    if config is not None:
        environment["APT_CONFIG"] = str(config)
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program with arguments apart
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise DeviceError(
            f"an emulated device is made of Debian packages, and '{command[0]}' is not here to "
            "fetch them",
            remedy="use a machine or a container with Debian or Ubuntu, or an ssh device",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise DeviceError(
            f"apt could not get {what} within {_TIMEOUT_S:g} s",
            remedy="run again when the network is better; what was finished is kept",
        ) from error
    if done.returncode == 0:
        return done.stdout
    raise _failed(what, done.stderr)


def _failed(what: str, text: str) -> DeviceError:
    """Return the error for what apt wrote to its standard error."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line.removeprefix("E: ") for line in lines if line.startswith("E:")] or lines
    reasons = " | ".join(list(dict.fromkeys(errors))[:_TAIL_LINES]) or "it said nothing"
    if any(word in reasons for word in _OUT_OF_REACH):
        remedy = (
            "an emulated device is fetched once, then kept: connect this machine to the network "
            "(or set apt's proxy) and run again, or copy the cache folder from a machine that has "
            "it"
        )
    else:
        remedy = f"use another mirror of Debian; {_MIRROR_REMEDY}"
    return DeviceError(f"apt could not get {what}: {reasons}", remedy=remedy)
