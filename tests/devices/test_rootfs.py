from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from edgetl.devices import _rootfs
from edgetl.devices._apt import Archive, Package
from edgetl.devices._rootfs import (
    EMULATOR,
    PLUGIN_EMULATOR,
    SYSTEMS,
    make_emulator,
    make_plugin_emulator,
    make_rootfs,
    plugin_emulator,
)

ARCHIVE = Archive("http://mirror/debian", Path("/keys"))


def write_package(folder: Path, name: str, *files: str) -> Package:
    """Write a package whose files hold their own paths; deb(5) says how."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for file in files:
            info = tarfile.TarInfo(f"./{file}")
            info.size, info.mode = len(file), 0o755
            archive.addfile(info, io.BytesIO(file.encode()))
    content = data.getvalue()
    path = folder / f"{name}.deb"
    head = f"{'data.tar':<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n"
    path.write_bytes(b"!<arch>\n" + head.encode() + content)
    return Package(path, hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return the requests to Debian, which has two packages."""
    requests: list[dict[str, Any]] = []

    def fetch(packages: Sequence[str], *, folder: Path, **settings: Any) -> tuple[Package, ...]:
        requests.append({"packages": packages, **settings})
        documents = "usr/share/doc/libc6/changelog.gz"
        return (
            write_package(folder, "libc6_1%3a2.36_arm64", "lib/libc.so.6", documents),
            write_package(folder, "tool_7.2_amd64", EMULATOR, "usr/bin/qemu-riscv64-static"),
        )

    monkeypatch.setattr(_rootfs, "fetch", fetch)
    return requests


def files(tree: Path) -> list[str]:
    return sorted(path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file())


@pytest.mark.parametrize("suite", sorted(SYSTEMS))
def test_rootfs_is_of_its_suite_for_arm_without_documentation(
    suite: str, requests: list[dict[str, Any]], tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()

    facts = make_rootfs(SYSTEMS[suite], ARCHIVE, tree)

    (call,) = requests
    assert (call["suite"], call["architecture"], call["archive"]) == (suite, "arm64", ARCHIVE)
    assert call["packages"] == ("python3-minimal", "python3", "libstdc++6", "libgcc-s1")
    assert list(facts) == ["libc6_1:2.36_arm64", "tool_7.2_amd64"]
    assert all(len(digest) == 64 for digest in facts.values())
    assert (tree / "lib").readlink() == Path("usr/lib")
    assert (tree / "usr/lib/libc.so.6").read_text() == "lib/libc.so.6"
    assert not (tree / "usr/share/doc").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["tree"]


def test_emulator_is_one_file_for_this_machine(
    requests: list[dict[str, Any]], tmp_path: Path
) -> None:
    make_emulator("amd64", ARCHIVE, tmp_path)

    (call,) = requests
    assert (call["suite"], call["architecture"]) == ("bookworm", "amd64")
    assert files(tmp_path) == [EMULATOR]


def test_emulator_for_plugins_includes_its_libraries_and_loader(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    library, loader = "x86_64-linux-gnu/libglib-2.0.so.0", "x86_64-linux-gnu/ld-linux-x86-64.so.2"
    calls: list[str] = []

    def fetch(packages: Sequence[str], *, suite: str, folder: Path, **_: Any) -> tuple[Package]:
        calls.extend((*packages, suite))
        others = ("usr/bin/qemu-riscv64", "usr/lib/x86_64-linux-gnu/gconv/UTF-16.so")
        names = (PLUGIN_EMULATOR, f"usr/lib/{library}", f"lib/{loader}", *others)
        return (write_package(folder, "qemu-user_7.2_amd64", *names),)

    monkeypatch.setattr(_rootfs, "fetch", fetch)

    packages = make_plugin_emulator("amd64", ARCHIVE, tmp_path)

    assert list(packages) == ["qemu-user_7.2_amd64"]
    assert calls == ["qemu-user", "bookworm"]
    expected = [PLUGIN_EMULATOR, f"usr/lib/{loader}", f"usr/lib/{library}"]
    assert files(tmp_path / "usr") == [path.removeprefix("usr/") for path in expected]
    libraries = str(tmp_path / "usr/lib/x86_64-linux-gnu")
    program = str(tmp_path / PLUGIN_EMULATOR)
    start = (f"{libraries}/ld-linux-x86-64.so.2", "--library-path", libraries, program)
    assert plugin_emulator("amd64", tmp_path) == start
