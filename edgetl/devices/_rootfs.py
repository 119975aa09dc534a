"""Root file system of Debian for arm64, and the emulator that runs its programs."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edgetl.devices._apt import Archive, Package, fetch
from edgetl.devices._deb import unpack
from edgetl.errors import DeviceError
from edgetl.types import Facts

EMULATOR = "usr/bin/qemu-aarch64-static"
PACKAGES = ("python3-minimal", "python3", "libstdc++6", "libgcc-s1")
"""Packages that Python and the wheels need."""
EMULATOR_SUITE = "bookworm"
"""Has qemu 7.2, whose predictions were compared with a host's; see `edgetl.devices.emulated`."""

PLUGIN_EMULATOR = "usr/bin/qemu-aarch64"
"""The same emulator, dynamically linked, as a static program cannot load plug-ins."""

_EMULATOR_PACKAGE = "qemu-user-static"
_PLUGIN_PACKAGE = "qemu-user"
_MERGED = ("bin", "lib", "sbin")
"""Folders that are links into ``usr`` on an installed system, as the packages expect."""
_DOCUMENTS = ("usr/share/doc/", "usr/share/man/", "usr/share/locale/", "usr/share/lintian/")
_HOSTS = {"x86_64": "amd64", "aarch64": "arm64"}
_LIBRARIES = {
    "amd64": ("x86_64-linux-gnu", "ld-linux-x86-64.so.2"),
    "arm64": ("aarch64-linux-gnu", "ld-linux-aarch64.so.1"),
}
"""Maps Debian's architecture to its library folder and the name of its loader."""


@dataclass(frozen=True, slots=True)
class System:
    """A release of Debian, which Raspberry Pi OS is based on."""

    suite: str
    python: str
    glibc_minor: int
    """Its glibc has version 2.`glibc_minor`."""


SYSTEMS = {
    system.suite: system
    for system in (System("bookworm", "3.11", 36), System("trixie", "3.13", 41))
}
"""Systems by suite."""


def host_architecture() -> str:
    """Return Debian's name for this machine's architecture.

    Raises:
        DeviceError: If there is no emulator for this machine.
    """
    machine = platform.machine()
    if platform.system() != "Linux" or machine not in _HOSTS:
        raise DeviceError(
            f"there is no emulator for {platform.system()} on {machine}; "
            f"it runs on Linux on {' or '.join(_HOSTS)}",
            remedy="use such a machine, or an ssh device",
        )
    return _HOSTS[machine]


def make_rootfs(system: System, archive: Archive, tree: Path) -> Facts:
    """Unpack Python and its libraries for arm64 into the empty folder `tree`.

    Returns:
        SHA-256 by package.

    Raises:
        DeviceError: See `edgetl.devices._apt.fetch` and `edgetl.devices._deb.unpack`.
    """
    _link_merged(tree, _MERGED)
    return _unpacked(
        PACKAGES,
        suite=system.suite,
        architecture="arm64",
        archive=archive,
        tree=tree,
        select=lambda name: not name.startswith(_DOCUMENTS),
    )


def make_emulator(architecture: str, archive: Archive, tree: Path) -> Facts:
    """Unpack qemu for this machine into the empty folder `tree`.

    Returns and raises as `make_rootfs` does.
    """
    return _unpacked(
        (_EMULATOR_PACKAGE,),
        suite=EMULATOR_SUITE,
        architecture=architecture,
        archive=archive,
        tree=tree,
        select=lambda name: name == EMULATOR,
    )


def make_plugin_emulator(architecture: str, archive: Archive, tree: Path) -> Facts:
    """Unpack a qemu for this machine that supports plug-ins, with its libraries, into `tree`.

    Returns and raises as `make_rootfs` does.
    """
    folder, _ = _LIBRARIES[architecture]
    _link_merged(tree, (*_MERGED, "lib64"))

    def select(name: str) -> bool:
        path = PurePosixPath(name)
        return name == PLUGIN_EMULATOR or (path.parent.name == folder and ".so" in path.name)

    return _unpacked(
        (_PLUGIN_PACKAGE,),
        suite=EMULATOR_SUITE,
        architecture=architecture,
        archive=archive,
        tree=tree,
        select=select,
    )


def plugin_emulator(architecture: str, tree: Path) -> tuple[str, ...]:
    """Return the command that starts the qemu in `tree` with only the libraries in `tree`."""
    folder, loader = _LIBRARIES[architecture]
    libraries = tree / "usr" / "lib" / folder
    program = tree / PLUGIN_EMULATOR
    return (str(libraries / loader), "--library-path", str(libraries), str(program))


def _link_merged(tree: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tree / "usr" / name).mkdir(parents=True)
        (tree / name).symlink_to(f"usr/{name}")


def _unpacked(
    names: tuple[str, ...],
    *,
    suite: str,
    architecture: str,
    archive: Archive,
    tree: Path,
    select: Callable[[str], bool],
) -> Facts:
    packages: tuple[Package, ...]
    with tempfile.TemporaryDirectory(dir=tree.parent) as folder:
        packages = fetch(
            names, suite=suite, architecture=architecture, archive=archive, folder=Path(folder)
        )
        for package in packages:
            unpack(package.file, tree, select=select)
    return {package.name: package.sha256 for package in packages}
