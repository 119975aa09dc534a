"""Python packages of an emulated device: wheels for aarch64, unpacked into a folder by pip.

A device needs numpy, Pillow and one engine. Other dependencies of an engine's wheel are for its
tools, not for inference, and are not installed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from edgetl.errors import DeviceError
from edgetl.types import Facts

IMAGES = ("numpy==2.4.6", "pillow==13.0.0")
"""Packages of every device."""
ENGINES = {
    "onnxruntime": "onnxruntime==1.31.1",
    "ai-edge-litert": "ai-edge-litert==2.3.0",
    "openvino": "openvino==2026.4.1",
}
"""Wheel of each engine, in the version that the emulation was tested with."""

_OLDEST_GLIBC = 17
"""Minor version of manylinux2014's glibc, the oldest that wheels for aarch64 are built for."""
_TIMEOUT_S = 900.0
_REPORT = "report.json"


def install(requirements: Sequence[str], folder: Path, *, python: str, glibc_minor: int) -> Facts:
    """Unpack wheels for an aarch64 system into `folder`.

    Args:
        requirements: Exact versions: ``numpy==2.4.6``.
        folder: An empty folder that will be on the device's module path.
        python: Version of the device's Python: ``3.11``.
        glibc_minor: The device's glibc is ``2.<glibc_minor>``.

    Returns:
        SHA-256 of each wheel file, as stated by the package index and verified by pip.

    Raises:
        DeviceError: If there is no pip, no such wheel, or no network.
    """
    report = folder / _REPORT
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--no-deps"]
    command += ["--disable-pip-version-check", "--no-compile", "--target", str(folder)]
    command += ["--report", str(report), "--only-binary", ":all:", "--implementation", "cp"]
    command += ["--python-version", python]
    for tag in _platforms(glibc_minor):
        command += ["--platform", tag]
    what = f"{', '.join(requirements)} for aarch64, Python {python}, glibc 2.{glibc_minor}"
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter
            [*command, *requirements],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceError(
            f"pip could not get {what} within {_TIMEOUT_S:g} s",
            remedy="run again with a better connection; finished downloads are kept",
        ) from error
    if done.returncode != 0:
        raise _failed(what, done.stderr)
    wheels = _wheels(json.loads(report.read_text(encoding="utf-8")))
    report.unlink()
    return wheels


def _platforms(glibc_minor: int) -> list[str]:
    """Return the wheel tags that such a system accepts, newest first."""
    minors = range(glibc_minor, _OLDEST_GLIBC - 1, -1)
    return [*(f"manylinux_2_{minor}_aarch64" for minor in minors), "manylinux2014_aarch64"]


def _wheels(report: Facts) -> Facts:
    digests: Facts = {}
    for item in report["install"]:
        info = item["download_info"]
        hashes = info["archive_info"]["hashes"]
        digests[info["url"].rpartition("/")[2]] = hashes["sha256"]
    return dict(sorted(digests.items()))


def _failed(what: str, text: str) -> DeviceError:
    """Return the error for pip's error output."""
    if "No module named pip" in text:
        return DeviceError(
            f"pip is not installed for {sys.executable}, but is needed to get {what}",
            remedy=f"{sys.executable} -m ensurepip",
        )
    if "connection broken" in text:
        return DeviceError(
            f"pip could not get {what}: its package index cannot be reached",
            remedy="an emulated device is downloaded once, then kept: connect this machine to the "
            "network (or set pip's index and proxy) and run again, or copy the cache folder from "
            "another machine",
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR:")]
    reason = (errors or lines or ["no error output"])[-1]
    return DeviceError(
        f"pip could not get {what}: {reason}",
        remedy="configure an index that has it: pip config set global.index-url ...",
    )
