"""Download packages of another Debian release or architecture with this machine's apt.

apt works in a separate folder: nothing is installed, and the machine's package lists do not change.
apt checks the archive's signature with Debian's keys, resolves dependencies, and compares each file
with the digest in the signed index. From the machine's own configuration it takes only the network
settings (proxies, certificates) and the Debian mirror.
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
"""For machines whose sources name no Debian mirror, such as Ubuntu; the signature is checked."""
_MIRROR_REMEDY = "name it in the device's address: emulated:cortex-a72?mirror=http://..."


@dataclass(frozen=True, slots=True)
class Archive:
    """Where Debian packages come from, and the keys that must have signed them."""

    mirror: str
    """URL of the folder with ``dists`` and ``pool``."""
    keyring: Path


@dataclass(frozen=True, slots=True)
class Package:
    """A downloaded package, already compared with the signed index by apt."""

    file: Path
    sha256: str

    @property
    def name(self) -> str:
        """``<package>_<version>_<architecture>``."""
        return unquote(self.file.stem)


def find_archive(mirror: str | None) -> Archive:
    """Return the archive at `mirror`, or by default at this machine's mirror or Debian's own.

    Raises:
        DeviceError: If Debian's keys or apt are missing.
    """
    keyring = next((path for path in _KEYRINGS if path.is_file()), None)
    if keyring is None:
        raise DeviceError(
            f"Debian's keys are missing on this machine ({_KEYRINGS[0]}), so its packages cannot "
            "be verified",
            remedy="apt-get install debian-archive-keyring",
        )
    return Archive(mirror or _own_mirror(), keyring)


def fetch(
    packages: Sequence[str], *, suite: str, architecture: str, archive: Archive, folder: Path
) -> tuple[Package, ...]:
    """Download `packages` and their dependencies into `folder`; returned sorted by name.

    Recommended packages are excluded. Versions are the suite's current ones.

    Args:
        packages: Debian package names.
        suite: For example ``bookworm``.
        architecture: Debian's name, ``amd64`` or ``arm64``.
        archive: Source of the packages.
        folder: An existing folder.

    Raises:
        DeviceError: If apt is missing, the network is unreachable, the signature or a digest is
            wrong, or a package is unknown; with apt's message.
    """
    # Not below `folder`: apt drops root's privileges to download and must still have access.
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
    """Return a Debian mirror that the machine's own sources name, or the default mirror."""
    # Prints what an update would download, without downloading it.
    command = ["apt-get", "--option", "Debug::NoLocking=1", "--print-uris", "update"]
    mirrors = _MIRROR.findall(_apt(command, "the list of mirrors", None))
    return str(mirrors[0]) if mirrors else _DEBIANS_OWN


def _prepare(state: Path, suite: str, architecture: str, archive: Archive) -> None:
    """Write the configuration and folders that confine apt to `state`."""
    for folder in ("lists/partial", "cache/archives/partial", "empty"):
        (state / folder).mkdir(parents=True)
    (state / "status").touch()
    # apt does not copy packages from a `file:` mirror, so there would be nothing to unpack.
    mirror = re.sub("^file:", "copy:", archive.mirror)
    (state / "sources.list").write_text(
        f"deb [arch={architecture} signed-by={archive.keyring}] {mirror} {suite} main\n",
        encoding="utf-8",
    )
    network = ["apt-config", "dump", "--no-empty", *_NETWORK_SETTINGS]
    settings = {
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Update::Error-Mode": "any",  # by default it ignores an index that fails to download
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
        # Excludes the machine's own files, whose hooks would run after an update.
        "Dir::Etc::main": state / "empty" / "apt.conf",
        "Dir::Etc::parts": state / "empty",
    }
    text = _apt(network, "the network settings", None)
    text += "".join(f'{key} "{value}";\n' for key, value in settings.items())
    (state / "apt.conf").write_text(text, encoding="utf-8")


def _apt(command: Sequence[str], what: str, config: Path | None) -> str:
    """Run apt and return its output.

    Args:
        command: Program and arguments.
        what: Description of the requested data, for messages.
        config: Configuration file to read before all others; None for the machine's own settings.
    """
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    if config is not None:
        environment["APT_CONFIG"] = str(config)
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program, no shell
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
            f"an emulated device is built from Debian packages, and '{command[0]}', which "
            "downloads them, is not installed",
            remedy="use a machine or a container with Debian or Ubuntu, or an ssh device",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise DeviceError(
            f"apt could not get {what} within {_TIMEOUT_S:g} s",
            remedy="run again with a better connection; finished downloads are kept",
        ) from error
    if done.returncode == 0:
        return done.stdout
    raise _failed(what, done.stderr)


def _failed(what: str, text: str) -> DeviceError:
    """Return the error for apt's error output."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line.removeprefix("E: ") for line in lines if line.startswith("E:")] or lines
    reasons = " | ".join(list(dict.fromkeys(errors))[:_TAIL_LINES]) or "no error output"
    if any(word in reasons for word in _OUT_OF_REACH):
        remedy = (
            "an emulated device is downloaded once, then kept: connect this machine to the network "
            "(or set apt's proxy) and run again, or copy the cache folder from another machine"
        )
    else:
        remedy = f"use another Debian mirror; {_MIRROR_REMEDY}"
    return DeviceError(f"apt could not get {what}: {reasons}", remedy=remedy)
