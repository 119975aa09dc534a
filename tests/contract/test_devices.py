"""The contract of devices, run on those that need no network.

A file of `devices/` here is one kind of device in tests: its ``running(folder)`` is a
context that yields a function from a home folder to an address.
"""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgetl.devices import DEVICES, Connection, Device, check_device, open_device
from edgetl.errors import DeviceError, ExitCode, UsageError

_KINDS = sorted(Path(__file__).with_name("devices").glob("*.py"))


@pytest.fixture(scope="session", params=_KINDS, ids=[path.stem for path in _KINDS])
def address(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Path], str]]:
    name = request.param.stem
    spec = importlib.util.spec_from_file_location(f"edgetl_tests_device_{name}", request.param)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.running(tmp_path_factory.mktemp(name)) as addresses:
        yield addresses


@pytest.fixture
def device(
    address: Callable[[Path], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Device:
    monkeypatch.setenv("HOME", str(tmp_path))
    return open_device(address(tmp_path))


def test_every_kind_in_this_suite_is_a_device() -> None:
    assert {path.stem for path in _KINDS} <= set(DEVICES.names())


@pytest.fixture
def connection(device: Device) -> Iterator[Connection]:
    with device.connect() as opened:
        yield opened


@pytest.mark.parametrize("name", DEVICES.names())
def test_address_is_parsed_by_the_device_that_it_begins_with(name: str) -> None:
    with pytest.raises(UsageError, match=name) as caught:
        open_device(f"{name}:{{not an address}}")
    assert caught.value.remedy
    assert check_device(f"{name}:{{not an address}}") == (
        f"{caught.value.message}; {caught.value.remedy}"
    )


def test_device_has_an_address_and_a_provenance(device: Device) -> None:
    assert device.address.startswith(DEVICES.names())
    assert device.provenance in {"measured", "emulated"}


def test_description_is_plain_json_and_reproducible(device: Device) -> None:
    facts = device.describe()
    started = time.perf_counter()
    again = device.describe()
    # A login and the start of two Pythons, on a machine that runs other tests.
    assert time.perf_counter() - started < 10.0
    assert json.loads(json.dumps(facts)) == facts == again


def test_files_are_copied_both_ways(connection: Connection, tmp_path: Path) -> None:
    source = tmp_path / "source.bin"
    source.write_bytes(bytes(range(256)))
    connection.put({"inner/there.bin": source})
    connection.run(
        ["-c", "import shutil; shutil.copy('inner/there.bin', 'inner/back.bin')"], timeout_s=60
    )
    connection.get(["inner/back.bin"], tmp_path)
    assert (tmp_path / "inner" / "back.bin").read_bytes() == source.read_bytes()


def test_output_is_returned(connection: Connection) -> None:
    assert connection.run(["-c", "print('gr\\u00fcn')"], timeout_s=60) == "grün\n"


def test_every_connection_starts_with_an_empty_folder(device: Device, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    with device.connect() as first:
        first.put({"a": tmp_path / "a"})
    with device.connect() as second:
        listed = second.run(["-c", "import os; print(os.listdir())"], timeout_s=60)
    assert listed == "[]\n"


def test_error_quotes_the_last_lines(connection: Connection) -> None:
    with pytest.raises(DeviceError, match=r"exited with 1: .*KeyError: 'speed'") as caught:
        connection.run(["-c", "{}['speed']"], timeout_s=60)
    assert caught.value.exit_code is ExitCode.DEVICE_UNREACHABLE
    assert caught.value.remedy


def test_missing_error_output_is_reported(connection: Connection) -> None:
    with pytest.raises(DeviceError, match="exited with 9: no error output"):
        connection.run(["-c", "raise SystemExit(9)"], timeout_s=60)


def test_command_that_takes_too_long_is_stopped(connection: Connection) -> None:
    started = time.monotonic()
    with pytest.raises(DeviceError, match=r"took longer than 0\.5 s"):
        connection.run(["-c", "import time; time.sleep(60)"], timeout_s=0.5)
    assert time.monotonic() - started < 30


def test_missing_file_is_named(connection: Connection, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="has no file 'nothing'"):
        connection.get(["nothing"], tmp_path)


def test_nothing_of_this_process_reaches_the_device(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGETL_SECRET", "1")
    code = "import os; print('EDGETL_SECRET' in os.environ)"
    assert connection.run(["-c", code], timeout_s=60) == "False\n"
