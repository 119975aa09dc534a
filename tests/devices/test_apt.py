"""The real apt, with a small archive that the test writes and signs."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgetl.devices import _apt
from edgetl.devices._apt import Archive, fetch, find_archive
from edgetl.errors import DeviceError, ExitCode

_TOOLS = ("apt-get", "apt-config", "gpg", "gpgv")

pytestmark = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in _TOOLS), reason=f"needs {', '.join(_TOOLS)}"
)

# `python3` needs a library by a virtual name, one of two alternatives of which
# the first does not exist, and at least version 2 of a third, which the archive holds in two.
_INDEX = {
    "python3_3.11_arm64": "Depends: libc-abi, libold | libnew, libssl (>= 2)\nRecommends: docs\n",
    "libc6_2.36_arm64": "Provides: libc-abi\n",
    "libnew_1.0_arm64": "",
    "libssl_1.9_arm64": "",
    "libssl_2.1_arm64": "Pre-Depends: libgcc-s1\n",
    "libgcc-s1_12_arm64": "",
    "docs_1_arm64": "",
    "other_1_arm64": "Depends: nothing-of-that-name\n",
}


@dataclass(frozen=True)
class Signer:
    """A key made for the test."""

    home: Path
    keyring: Path

    def sign(self, release: Path) -> None:
        self._gpg("--clearsign", "--output", str(release.with_name("InRelease")), str(release))

    def _gpg(self, *arguments: str) -> None:
        command = ["gpg", "--homedir", str(self.home), "--batch", "--yes", "--passphrase", ""]
        command += ["--pinentry-mode", "loopback", *arguments]
        subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    home = tmp_path_factory.mktemp("g")
    home.chmod(0o700)
    signer = Signer(home, home / "keys.gpg")
    signer._gpg("--quick-generate-key", "Test <test@example.invalid>", "ed25519", "sign", "never")
    signer._gpg("--output", str(signer.keyring), "--export")
    # apt reads it as an unprivileged user.
    for folder in (home, *home.parents):
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    yield signer
    stop = ["gpgconf", "--homedir", str(home), "--kill", "all"]
    subprocess.run(stop, check=False)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_archive(folder: Path) -> Path:
    """Write an archive of packages without content; return its Release file, to be signed."""
    index = folder / "dists/bookworm/main/binary-arm64/Packages"
    for path in (index.parent, folder / "pool"):
        path.mkdir(parents=True)
    text = ""
    for name, fields in _INDEX.items():
        package, version, architecture = name.split("_")
        file = folder / "pool" / f"{name}.deb"
        file.write_bytes(name.encode())
        text += f"Package: {package}\nVersion: {version}\nArchitecture: {architecture}\n"
        text += f"Filename: pool/{file.name}\nSize: {len(name)}\nSHA256: {digest(file)}\n"
        text += f"Maintainer: Test <test@example.invalid>\nDescription: {package}\n{fields}\n"
    index.write_text(text)
    release = folder / "dists/bookworm/Release"
    release.write_text(
        "Origin: Test\nSuite: stable\nCodename: bookworm\nArchitectures: arm64\nComponents: main\n"
        "Date: Sat, 01 Nov 2025 00:00:00 UTC\nSHA256:\n"
        f" {digest(index)} {index.stat().st_size} main/binary-arm64/Packages\n"
    )
    return release


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty folder that apt can read after dropping root privileges."""
    folder = tmp_path / "archive"
    folder.mkdir()
    for path in (folder, *folder.parents):
        if path.stat().st_uid == os.getuid() and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o055)
    return folder


def get(folder: Path, keyring: Path, out: Path, *packages: str) -> list[str]:
    out.mkdir(exist_ok=True)
    archive = Archive(f"file:{folder}", keyring)
    fetched = fetch(packages, suite="bookworm", architecture="arm64", archive=archive, folder=out)
    assert all(package.sha256 == digest(package.file) for package in fetched)
    assert all(package.file.parent == out for package in fetched)
    return [package.name for package in fetched]


def test_dependencies_alternatives_virtual_packages_and_versions_are_followed(
    folder: Path, signer: Signer, tmp_path: Path
) -> None:
    signer.sign(write_archive(folder))

    names = get(folder, signer.keyring, tmp_path / "out", "python3")

    assert names == [
        "libc6_2.36_arm64",
        "libgcc-s1_12_arm64",
        "libnew_1.0_arm64",
        "libssl_2.1_arm64",
        "python3_3.11_arm64",
    ]


def test_package_that_differs_from_the_index_is_refused(
    folder: Path, signer: Signer, tmp_path: Path
) -> None:
    signer.sign(write_archive(folder))
    (folder / "pool" / "libnew_1.0_arm64.deb").write_bytes(b"libnew_6.6_arm64")

    with pytest.raises(DeviceError, match=r"the packages libnew of Debian bookworm.*Hash Sum mism"):
        get(folder, signer.keyring, tmp_path / "out", "libnew")

    assert not any((tmp_path / "out").iterdir())


def test_index_that_differs_from_the_signed_digest_is_refused(
    folder: Path, signer: Signer, tmp_path: Path
) -> None:
    release = write_archive(folder)
    signer.sign(release)
    index = folder / "dists/bookworm/main/binary-arm64/Packages"
    index.write_text(index.read_text().replace("Size: 1", "Size: 2"))

    with pytest.raises(DeviceError, match=r"the index of Debian bookworm for arm64: .*mismatch"):
        get(folder, signer.keyring, tmp_path / "out", "python3")


def test_unsigned_archive_is_refused(folder: Path, signer: Signer, tmp_path: Path) -> None:
    write_archive(folder)

    with pytest.raises(DeviceError, match="is not signed") as caught:
        get(folder, signer.keyring, tmp_path / "out", "python3")

    assert caught.value.exit_code is ExitCode.DEVICE_UNREACHABLE
    assert "use another Debian mirror" in caught.value.remedy


def test_archive_changed_after_signing_is_refused(
    folder: Path, signer: Signer, tmp_path: Path
) -> None:
    signer.sign(write_archive(folder))
    signed = folder / "dists/bookworm/InRelease"
    signed.write_text(signed.read_text().replace("Origin: Test", "Origin: Tost"))

    with pytest.raises(DeviceError, match="the index of Debian bookworm for arm64"):
        get(folder, signer.keyring, tmp_path / "out", "python3")


@pytest.mark.parametrize(
    ("package", "message"),
    [
        ("pyton3", "Unable to locate package pyton3"),
        ("other", "Unable to correct problems|unmet dependencies"),
    ],
)
def test_unknown_package_is_named(
    folder: Path, signer: Signer, tmp_path: Path, package: str, message: str
) -> None:
    signer.sign(write_archive(folder))

    with pytest.raises(DeviceError, match=message):
        get(folder, signer.keyring, tmp_path / "out", package)


def test_error_for_an_unreachable_mirror_is_one_paragraph(
    signer: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_apt, "_RETRIES", 0)
    archive = Archive("http://127.0.0.1:9/debian", signer.keyring)

    with pytest.raises(
        DeviceError,
        match=r"apt could not get the index of Debian trixie for arm64: .*Could not con",
    ) as caught:
        fetch(["python3"], suite="trixie", architecture="arm64", archive=archive, folder=tmp_path)

    assert caught.value.exit_code is ExitCode.DEVICE_UNREACHABLE
    assert "\n" not in caught.value.message
    assert caught.value.remedy.startswith(
        "an emulated device is downloaded once, then kept: connect"
    )


def test_missing_apt_is_reported(
    signer: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(
        DeviceError, match="'apt-config', which downloads them, is not installed"
    ) as caught:
        get(tmp_path, signer.keyring, tmp_path / "out", "python3")

    assert "container with Debian or Ubuntu" in caught.value.remedy


def test_named_mirror_is_preferred(signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_apt, "_KEYRINGS", (Path("/nowhere"), signer.keyring))

    assert find_archive("http://mirror/debian") == Archive("http://mirror/debian", signer.keyring)


def test_missing_keys_are_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_apt, "_KEYRINGS", (tmp_path / "none.gpg",))

    with pytest.raises(
        DeviceError, match=r"Debian's keys are missing on this machine \(.*none\.gpg\)"
    ):
        find_archive("http://mirror/debian")


def test_machine_without_debian_mirrors_uses_debians_own(
    signer: Signer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "apt.conf"
    config.write_text(
        f'Dir::Etc::sourceparts "{tmp_path}/parts";\nDir::Etc::sourcelist "{tmp_path}/sources";\n'
    )
    (tmp_path / "parts").mkdir()
    (tmp_path / "sources").write_text("deb http://example.invalid/ubuntu noble main\n")
    monkeypatch.setenv("APT_CONFIG", str(config))
    monkeypatch.setattr(_apt, "_KEYRINGS", (signer.keyring,))

    assert find_archive(None).mirror == "http://deb.debian.org/debian"


def test_debian_mirror_of_the_machine_is_used(
    signer: Signer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "apt.conf"
    config.write_text(
        f'Dir::Etc::sourceparts "{tmp_path}/parts";\nDir::Etc::sourcelist "{tmp_path}/sources";\n'
    )
    (tmp_path / "parts").mkdir()
    (tmp_path / "sources").write_text(
        "deb http://example.invalid/extras noble main\n"
        "deb http://one.invalid/debian/ bookworm main\n"
        "deb http://one.invalid/debian-security bookworm-security main\n"
    )
    monkeypatch.setenv("APT_CONFIG", str(config))
    monkeypatch.setattr(_apt, "_KEYRINGS", (signer.keyring,))

    assert find_archive(None).mirror == "http://one.invalid/debian"
