"""The real pip, with wheels that the test writes."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

import pytest

from edgetl.devices._wheels import ENGINES, IMAGES, install
from edgetl.errors import DeviceError, ExitCode


def write_wheel(folder: Path, tag: str) -> Path:
    """Write a wheel of a package that needs another one, for the platform `tag`."""
    path = folder / f"thing-1.0-cp311-cp311-{tag}.whl"
    facts = "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\nRequires-Dist: not-needed-here\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("thing.py", "VALUE = 1\n")
        archive.writestr("thing-1.0.dist-info/METADATA", facts)
        archive.writestr("thing-1.0.dist-info/WHEEL", f"Wheel-Version: 1.0\nTag: cp311-cp311-{tag}")
        archive.writestr("thing-1.0.dist-info/RECORD", "")
    return path


@pytest.fixture
def only_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only folder that pip searches."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_versions_are_exact() -> None:
    assert all(len(text.split("==")) == 2 for text in (*IMAGES, *ENGINES.values()))
    assert all(text.startswith(f"{name}==") for name, text in ENGINES.items())


@pytest.mark.parametrize("tag", ["manylinux2014_aarch64", "manylinux_2_28_aarch64"])
def test_wheel_for_the_device_is_unpacked_alone_and_its_digest_returned(
    only_here: Path, tmp_path: Path, tag: str
) -> None:
    wheel = write_wheel(only_here, tag)
    site = tmp_path / "site"
    site.mkdir()

    digests = install(["thing==1.0"], site, python="3.11", glibc_minor=36)

    assert digests == {wheel.name: hashlib.sha256(wheel.read_bytes()).hexdigest()}
    assert sorted(path.name for path in site.iterdir()) == ["thing-1.0.dist-info", "thing.py"]


@pytest.mark.parametrize(
    ("tag", "python"),
    [("manylinux_2_38_aarch64", "3.11"), ("manylinux_2_28_x86_64", "3.11"),
     ("manylinux_2_28_aarch64", "3.13")],
    ids=["newer glibc", "other processor", "other Python"],
)  # fmt: skip
def test_wheel_for_another_system_is_refused(
    only_here: Path, tmp_path: Path, tag: str, python: str
) -> None:
    write_wheel(only_here, tag)

    with pytest.raises(
        DeviceError,
        match=rf"pip could not get thing==1\.0 for aarch64, Python {python}, glibc 2\.36: "
        r"No matching distribution found for thing==1\.0",
    ) as caught:
        install(["thing==1.0"], tmp_path / "site", python=python, glibc_minor=36)

    assert "configure an index that has it" in caught.value.remedy


def test_error_for_an_unreachable_index_is_one_paragraph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(DeviceError, match="its package index cannot be reached") as caught:
        install(["thing==1.0"], tmp_path, python="3.11", glibc_minor=36)

    assert caught.value.exit_code is ExitCode.DEVICE_UNREACHABLE
    assert "\n" not in caught.value.message
    assert caught.value.remedy.startswith(
        "an emulated device is downloaded once, then kept: connect"
    )


def test_missing_pip_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$0: No module named pip" >&2\nexit 1\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))

    with pytest.raises(DeviceError, match=f"pip is not installed for {python}") as caught:
        install(["thing==1.0"], tmp_path, python="3.11", glibc_minor=36)

    assert caught.value.remedy == f"{python} -m ensurepip"
