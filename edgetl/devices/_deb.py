"""Unpack a Debian package into a folder, without dpkg and without trusting its paths.

A package is an ``ar`` archive that contains a compressed tar archive, ``data.tar.*``; see deb(5).
The package's scripts are not run.
"""

from __future__ import annotations

import io
import lzma
import os
import shutil
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Literal

from edgetl.errors import DeviceError

_AR_MAGIC = b"!<arch>\n"
_HEADER_BYTES = 60
_HEADER_END = b"`\n"
_MODES: dict[str, Literal["r:", "r:gz", "r:xz"]] = {
    "data.tar": "r:",
    "data.tar.gz": "r:gz",
    "data.tar.xz": "r:xz",
}
_MODE_BITS = 0o755
_OWNER_MAY_WRITE = 0o600
_REMEDY = "run again to download it again"


def unpack(package: Path, root: Path, *, select: Callable[[str], bool]) -> None:
    """Write the files of `package` below `root`.

    Symbolic links in `root` are followed as by a system that boots from it, so a package's
    ``lib/x`` is written to ``usr/lib`` if ``lib`` is a link. Absolute links become relative ones:
    no path may lead out of `root`.

    Args:
        package: The ``.deb`` file.
        root: An existing folder.
        select: Whether to write a file, by its path below the root, without a leading slash.

    Raises:
        DeviceError: If it is not a Debian package, uses an unknown compression, or contains a path
            or link that leaves `root`, or a device file.
    """
    data, mode = _data(package)
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode=mode) as archive:
            for member in archive:
                name = PurePosixPath(member.name).as_posix()
                if select(name):
                    _write(archive, member, root.resolve(), package.name)
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, KeyError) as error:
        raise DeviceError(f"{package.name} cannot be read: {error}", remedy=_REMEDY) from error


def _data(package: Path) -> tuple[bytes, Literal["r:", "r:gz", "r:xz"]]:
    """Return the compressed data archive and its mode for tarfile."""
    archive = package.read_bytes()
    if not archive.startswith(_AR_MAGIC):
        raise DeviceError(f"{package.name} is not a Debian package", remedy=_REMEDY)
    position = len(_AR_MAGIC)
    while position < len(archive):
        header = archive[position : position + _HEADER_BYTES]
        size = header[48:58].strip()
        start = position + _HEADER_BYTES
        if not header.endswith(_HEADER_END) or not size.isdigit():
            break
        end = start + int(size)
        name = header[:16].decode("ascii", "replace").strip().removesuffix("/")
        if end > len(archive):
            break
        if name.startswith("data.tar"):
            if name not in _MODES:
                raise DeviceError(
                    f"{package.name} contains '{name}'; known: {', '.join(_MODES)}",
                    remedy="use a Debian system whose packages are compressed with xz",
                )
            return archive[start:end], _MODES[name]
        position = end + end % 2  # members start at even offsets
    raise DeviceError(f"{package.name} is truncated or has no data", remedy=_REMEDY)


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, root: Path, package: str) -> None:
    place = _inside(root, member.name, package)
    if member.isdir():
        place.mkdir(parents=True, exist_ok=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink() or place.is_file():
        place.unlink()
    if member.issym():
        place.symlink_to(_link(root, place, member, package))
        return
    # A hard link is written as a copy; tarfile takes its content from the archive.
    content = archive.extractfile(member) if member.isreg() or member.islnk() else None
    if content is None:
        raise DeviceError(
            f"{package} contains '{member.name}', which is neither a file, a folder nor a link",
            remedy="use another package",
        )
    with place.open("wb") as file:
        shutil.copyfileobj(content, file)
    place.chmod(member.mode & _MODE_BITS | _OWNER_MAY_WRITE)


def _inside(root: Path, name: str, package: str) -> Path:
    """Return the path of `name` below `root`, with links in its folder followed."""
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts:
        raise _leaves(package, name)
    place = (root / relative).parent.resolve() / relative.name if relative.name else root
    if not place.is_relative_to(root):
        raise _leaves(package, name)
    return place


def _link(root: Path, place: Path, member: tarfile.TarInfo, package: str) -> str:
    """Return the link's target, relative to its folder."""
    folder = place.parent
    target = PurePosixPath(member.linkname)
    if target.is_absolute():
        resolved = os.path.normpath(root / target.relative_to("/"))
    else:
        resolved = os.path.normpath(folder / target)
    if not Path(resolved).is_relative_to(root):
        raise _leaves(package, f"{member.name} -> {member.linkname}")
    return os.path.relpath(resolved, folder)


def _leaves(package: str, name: str) -> DeviceError:
    return DeviceError(
        f"{package} contains '{name}', which leaves the folder that it is unpacked into",
        remedy="do not use this package or the mirror that it came from",
    )
