"""Addresses, and the start of the emulator, which a script replaces; no network."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edgetl.devices import check_device, emulated, open_device
from edgetl.devices._rootfs import EMULATOR
from edgetl.devices.emulated import EmulatedDevice, parse
from edgetl.errors import DeviceError, ExitCode, UsageError
from edgetl.types import Facts

# Takes `-cpu NAME -L ROOT PYTHON -S ARGUMENTS...` and prints them.
_SHOW = """#!/bin/sh
echo "cpu $2 $QEMU_CPU"
echo "root $(cat "$4/proc/cpuinfo" | grep -c '^processor') $(ls "$4" | tr '\\n' ' ')"
echo "python ${5#"$4"} $6"
shift 6
echo "arguments $*"
echo "environment $(env | cut -d= -f1 | sort | tr '\\n' ' ')"
echo "site $PYTHONPATH"
"""
_SLEEP = "#!/bin/sh\nsleep 60 &\necho $! > child\nwait\n"

Make = Callable[[str], EmulatedDevice]


@pytest.fixture
def device_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Return a function that makes a device with a script as its emulator."""

    def make(script: str) -> EmulatedDevice:
        def emulator(_architecture: str, _archive: object, tree: Path) -> Facts:
            path = tree / EMULATOR
            path.parent.mkdir(parents=True)
            path.write_text(script)
            path.chmod(0o755)
            return {"qemu": "0"}

        def rootfs(_system: object, _archive: object, tree: Path) -> Facts:
            (tree / "usr").mkdir()
            (tree / "lib").symlink_to("usr/lib")
            return {"libc6": "1"}

        def install(requirements: tuple[str, ...], tree: Path, **_: object) -> Facts:
            (tree / "package").mkdir()
            return dict.fromkeys(requirements, "2")

        monkeypatch.setattr(emulated, "find_archive", lambda _: None)
        monkeypatch.setattr(emulated, "make_emulator", emulator)
        monkeypatch.setattr(emulated, "make_rootfs", rootfs)
        monkeypatch.setattr(emulated, "install", install)
        return EmulatedDevice(cpu="cortex-a76", cache=tmp_path / "cache", note=lambda _: None)

    return make


@pytest.mark.parametrize(
    ("address", "device"),
    [
        ("emulated:cortex-a72", EmulatedDevice("cortex-a72")),
        ("emulated:cortex-a53", EmulatedDevice("cortex-a53")),
        ("emulated:cortex-a76?system=trixie", EmulatedDevice("cortex-a76", "trixie")),
        (
            "emulated:cortex-a72?engine=onnxruntime",
            EmulatedDevice("cortex-a72", engines=("onnxruntime",)),
        ),
        (
            "emulated:cortex-a76?engine=openvino",
            EmulatedDevice("cortex-a76", engines=("openvino",)),
        ),
        (
            "emulated:cortex-a72?system=trixie&mirror=http://mirror/debian",
            EmulatedDevice("cortex-a72", "trixie", mirror="http://mirror/debian"),
        ),
    ],
)
def test_device_of_an_address_has_the_same_address(address: str, device: EmulatedDevice) -> None:
    assert open_device(address) == parse(address) == device
    assert device.address == address


@pytest.mark.parametrize(
    ("address", "message", "remedy"),
    [
        (
            "emulated:cortex-a57",
            "unknown processor 'cortex-a57' in 'emulated:cortex-a57'",
            "Did you mean 'cortex-a76'? Known: cortex-a53, cortex-a72, cortex-a76.",
        ),
        (
            "emulated",
            "'emulated' names no processor",
            "name the processor: emulated:cortex-a72; known: cortex-a53, cortex-a72, cortex-a76",
        ),
        (
            "emulated:cortex-a72?systm=trixie",
            "unknown setting 'systm'",
            "Did you mean 'system'? Known: system, engine, mirror.",
        ),
        (
            "emulated:cortex-a72?system=sid",
            "unknown system 'sid'",
            "Known: bookworm, trixie.",
        ),
        (
            "emulated:cortex-a72?engine=openvin",
            "unknown engine 'openvin'",
            "Did you mean 'openvino'? Known: onnxruntime, ai-edge-litert, openvino.",
        ),
        (
            "emulated:cortex-a72?system=trixie&system=bookworm",
            "setting 'system' in .* has several values",
            "write one value",
        ),
        (
            "emulated:cortex-a72?mirror=http://a/debian%20[trusted=yes]",
            "is not the address of a Debian mirror",
            "write mirror=http://..., the folder that contains 'dists'",
        ),
    ],
    ids=["processor", "none", "setting", "system", "engine", "twice", "mirror"],
)
def test_error_for_an_invalid_address_names_valid_ones(
    address: str, message: str, remedy: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse(address)

    assert caught.value.remedy == remedy
    assert re.search(message, check_device(address) or "")


def test_times_are_emulated() -> None:
    assert EmulatedDevice().provenance == "emulated"


def test_parsing_an_address_downloads_nothing(tmp_path: Path) -> None:
    replace(open_device_in(tmp_path), cpu="cortex-a53")

    assert not any(tmp_path.iterdir())


def open_device_in(folder: Path) -> EmulatedDevice:
    return replace(parse("emulated:cortex-a72"), cache=folder)


def test_emulator_gets_a_processor_and_a_root_and_nothing_else(device_with: Make) -> None:
    device = device_with(_SHOW)

    with device.connect() as connection:
        printed = connection.run(["-m", "edgetl.runtime", "check"], timeout_s=30)

    lines = dict(line.split(" ", 1) for line in printed.splitlines())
    assert lines["cpu"] == "cortex-a76 cortex-a76"
    assert lines["root"].split() == ["4", "lib", "proc", "sys", "usr"]
    assert lines["python"] == "/usr/bin/python3 -S"
    assert lines["arguments"] == "-m edgetl.runtime check"
    names = set(lines["environment"].split()) - {"PWD", "_", "SHLVL", "OLDPWD"}
    assert names == {"LANG", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "QEMU_CPU"}
    sites = [Path(site).parent.name.rpartition("-")[0] for site in lines["site"].split(os.pathsep)]
    assert sites == ["images", "onnxruntime", "ai-edge-litert"]


def test_only_requested_engines_are_available(device_with: Make) -> None:
    device = replace(device_with(_SHOW), engines=("onnxruntime",))

    with device.connect() as connection:
        assert "ai-edge-litert" not in connection.run([], timeout_s=30)


def test_files_are_copied_both_ways_and_the_folder_is_removed(
    device_with: Make, tmp_path: Path
) -> None:
    (tmp_path / "source").write_bytes(b"\0pixels")

    with device_with("#!/bin/sh\nmv a/b a/c\n").connect() as connection:
        connection.put({"a/b": tmp_path / "source"})
        connection.run([], timeout_s=30)
        connection.get(["a/c"], tmp_path)
        with pytest.raises(DeviceError, match="'emulated:cortex-a76' has no file 'a/b'"):
            connection.get(["a/b"], tmp_path)
        folder = connection.folder

    assert (tmp_path / "a" / "c").read_bytes() == b"\0pixels"
    assert not folder.exists()


def test_time_limit_kills_all_child_processes(device_with: Make) -> None:
    with device_with(_SLEEP).connect() as connection:
        with pytest.raises(DeviceError, match=r"on device 'emulated:cortex-a76' took longer than"):
            connection.run(["slow.py"], timeout_s=1.0)
        child = int((connection.folder / "child").read_text())

        assert ended(child)


def ended(process: int) -> bool:
    for _ in range(100):
        stat = Path(f"/proc/{process}/stat")
        # An orphan that is not reaped stays a zombie.
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 'no such model' >&2; exit 6", "exited with 6: no such model"),
        ("exit 3", "exited with 3: no error output"),
        ("kill -SEGV $$", "was killed by SIGSEGV"),
    ],
)
def test_error_of_a_failed_process_quotes_its_last_lines(
    device_with: Make, script: str, message: str
) -> None:
    with (
        device_with(f"#!/bin/sh\n{script}\n").connect() as connection,
        pytest.raises(DeviceError, match=f"'python x' on device 'emulated:cortex-a76' {message}"),
    ):
        connection.run(["x"], timeout_s=30)


def test_remedy_for_a_missing_engine_names_an_address_with_it(device_with: Make) -> None:
    script = "#!/bin/sh\necho \"ModuleNotFoundError: No module named 'openvino'\" >&2; exit 1\n"
    with (
        device_with(script).connect() as connection,
        pytest.raises(DeviceError, match="No module named 'openvino'") as caught,
    ):
        connection.run(["x"], timeout_s=30)

    remedy = "use --device 'emulated:cortex-a76?engine=...' with the engine openvino"
    assert caught.value.remedy == remedy


def test_emulator_without_permission_to_run_is_reported(device_with: Make, tmp_path: Path) -> None:
    device = device_with(_SHOW)
    with device.connect():
        (emulator,) = (tmp_path / "cache").glob(f"qemu-*/tree/{EMULATOR}")
    emulator.chmod(0o644)

    with (
        device.connect() as connection,
        pytest.raises(DeviceError, match=f"cannot be started: Permission denied: {emulator}"),
    ):
        connection.run([], timeout_s=30)


def test_cold_cache_without_a_network_is_reported_in_one_paragraph(
    device_with: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(mirror: str | None) -> None:
        raise DeviceError(f"no route to {mirror}", remedy="connect this machine to the network")

    lines: list[str] = []
    device = replace(device_with(_SHOW), mirror="http://mirror/debian", note=lines.append)
    monkeypatch.setattr(emulated, "find_archive", unreachable)

    with pytest.raises(DeviceError, match="no route to http://mirror/debian") as caught:
        device.describe()

    assert caught.value.exit_code is ExitCode.DEVICE_UNREACHABLE
    (line,) = lines
    assert line.startswith("fetching an emulator of 64-bit ARM processors, Debian packages of 63")
    assert line.endswith(f"; kept in {tmp_path / 'cache'}")


def test_warm_cache_needs_no_network(device_with: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    device = device_with(_SHOW)
    with device.connect():
        pass
    for name in ("find_archive", "make_emulator", "make_rootfs", "install"):
        monkeypatch.delattr(emulated, name)

    with device.connect() as connection:
        assert connection.run([], timeout_s=30)


def test_machine_without_an_emulator_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")

    with pytest.raises(
        DeviceError, match="there is no emulator for Linux on riscv64; it runs on Linux on x86_64"
    ):
        open_device_in(tmp_path).describe()
