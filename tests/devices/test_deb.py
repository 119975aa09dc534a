"""Debian packages are written by the tests: an ``ar`` archive that contains a tar archive."""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edgetl.devices._deb import unpack
from edgetl.errors import DeviceError, ExitCode


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def entry(
    name: str,
    content: bytes = b"",
    *,
    kind: bytes = tarfile.REGTYPE,
    to: str = "",
    mode: int = 0o644,
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, to, mode
    return info, content


def deb(folder: Path, data: bytes, *, name: str = "data.tar.xz") -> Path:
    """Write a package with `data` as its data archive; deb(5) and ar(5) say how."""
    archive = b"!<arch>\n"
    for member, content in (("debian-binary", b"2.0\n"), ("control.tar", b"odd"), (name, data)):
        archive += f"{member:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
        archive += content + b"\n" * (len(content) % 2)
    path = folder / "thing_1.0_arm64.deb"
    path.write_bytes(archive)
    return path


def everything(_: str) -> bool:
    return True


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("name", "pack"),
    [("data.tar", bytes), ("data.tar.gz", gzip.compress), ("data.tar.xz", lzma.compress)],
)
def test_files_are_written_with_content_and_mode(
    tmp_path: Path, root: Path, name: str, pack: Callable[[bytes], bytes]
) -> None:
    data = tar(
        entry("./usr/", kind=tarfile.DIRTYPE, mode=0o755),
        entry("./usr/bin/tool", b"run me", mode=0o4755),
        entry("./etc/tool.conf", b"read me", mode=0o444),
    )

    unpack(deb(tmp_path, pack(data), name=name), root, select=everything)

    assert (root / "usr/bin/tool").read_bytes() == b"run me"
    assert (root / "usr/bin/tool").stat().st_mode & 0o7777 == 0o755, "no set-user-id"
    assert (root / "etc/tool.conf").stat().st_mode & 0o7777 == 0o644, "the owner may replace it"


def test_only_selected_files_are_written(tmp_path: Path, root: Path) -> None:
    package = deb(tmp_path, tar(entry("./a/x", b"1"), entry("./b/y", b"2")), name="data.tar")

    unpack(package, root, select=lambda path: path == "b/y")

    assert [path.name for path in root.iterdir()] == ["b"]


def test_links_stay_inside_and_hard_links_become_copies(tmp_path: Path, root: Path) -> None:
    data = tar(
        entry("./usr/lib/real.so", b"code"),
        entry("./usr/lib/same.so", kind=tarfile.LNKTYPE, to="./usr/lib/real.so"),
        entry("./etc/alternatives/lib", kind=tarfile.SYMTYPE, to="/usr/lib/real.so"),
        entry("./usr/lib/near.so", kind=tarfile.SYMTYPE, to="real.so"),
    )

    unpack(deb(tmp_path, data, name="data.tar"), root, select=everything)

    assert (root / "usr/lib/same.so").read_bytes() == b"code"
    assert (root / "etc/alternatives/lib").readlink() == Path("../../usr/lib/real.so")
    assert (root / "usr/lib/near.so").readlink() == Path("real.so")


def test_file_in_a_linked_folder_is_written_to_the_target_of_the_link(
    tmp_path: Path, root: Path
) -> None:
    (root / "usr/lib").mkdir(parents=True)
    (root / "lib").symlink_to("usr/lib")
    data = tar(entry("./lib/", kind=tarfile.DIRTYPE), entry("./lib/libc.so", b"c"))

    unpack(deb(tmp_path, data, name="data.tar"), root, select=everything)

    assert (root / "lib").is_symlink()
    assert (root / "usr/lib/libc.so").read_bytes() == b"c"


@pytest.mark.parametrize(
    "members",
    [
        [entry("../outside", b"x")],
        [entry("./usr/../../outside", b"x")],
        [entry("/outside", b"x")],
        [entry("./out", kind=tarfile.SYMTYPE, to="..")],
        [entry("./usr/out", kind=tarfile.SYMTYPE, to="../../outside")],
        [entry("./usr/out", kind=tarfile.SYMTYPE, to="/../outside")],
    ],
    ids=["parent", "hidden parent", "absolute", "link", "deep link", "absolute link"],
)
def test_path_that_leaves_the_folder_is_refused(
    tmp_path: Path, root: Path, members: list[tuple[tarfile.TarInfo, bytes]]
) -> None:
    package = deb(tmp_path, tar(*members), name="data.tar")
    before = set(tmp_path.iterdir())

    with pytest.raises(
        DeviceError, match=r"thing_1\.0_arm64\.deb contains '.*out.*', which leaves the folder"
    ) as caught:
        unpack(package, root, select=everything)

    assert caught.value.exit_code is ExitCode.DEVICE_UNREACHABLE
    assert "do not use this package" in caught.value.remedy
    assert set(tmp_path.iterdir()) == before


def test_file_below_a_link_out_of_the_folder_is_refused(tmp_path: Path, root: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (root / "sly").symlink_to(tmp_path / "elsewhere")
    package = deb(tmp_path, tar(entry("./sly/file", b"x")), name="data.tar")

    with pytest.raises(DeviceError, match=r"'\./sly/file', which leaves the folder"):
        unpack(package, root, select=everything)

    assert not any((tmp_path / "elsewhere").iterdir())


def test_device_file_is_refused(tmp_path: Path, root: Path) -> None:
    package = deb(tmp_path, tar(entry("./dev/null", kind=tarfile.CHRTYPE)), name="data.tar")

    with pytest.raises(
        DeviceError, match=r"'\./dev/null', which is neither a file, a folder nor a link"
    ):
        unpack(package, root, select=everything)


def test_unknown_compression_is_named(tmp_path: Path, root: Path) -> None:
    package = deb(tmp_path, b"packed", name="data.tar.zst")

    with pytest.raises(
        DeviceError,
        match=r"contains 'data\.tar\.zst'; known: data\.tar, data\.tar\.gz, data\.tar\.xz",
    ):
        unpack(package, root, select=everything)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"<html>" + data, "is not a Debian package"),
        (lambda data: data[:-40], "is truncated or has no data"),
        (lambda data: data[:100], "is truncated or has no data"),
        (lambda data: data[:250] + bytes(40) + data[290:], "cannot be read"),
    ],
    ids=["a web page", "cut in the data", "cut before the data", "a zeroed part"],
)
def test_damaged_package_is_refused(
    tmp_path: Path, root: Path, damage: Callable[[bytes], bytes], message: str
) -> None:
    package = deb(tmp_path, lzma.compress(tar(entry("./a", bytes(range(256)) * 40))))
    package.write_bytes(damage(package.read_bytes()))

    with pytest.raises(DeviceError, match=message) as caught:
        unpack(package, root, select=everything)

    assert caught.value.remedy == "run again to download it again"
