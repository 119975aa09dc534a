"""How a device's Python is asked for a timing, and how long it may take."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgetl.boards.remote_runtime import TimingRequest, bench
from edgetl.devices import open_device
from edgetl.errors import DeviceError
from edgetl.runtime.timing_plan import TimingPlan

_ECHO = 'import json, sys\nprint(json.dumps({"asked": sys.argv[1:]}))\n'
_PLAN = TimingPlan(seconds=10.0, count=50, runs=5)


def _bench(tmp_path: Path, code: str, request: TimingRequest) -> object:
    """Return what `bench` returns where `code` is the runtime's command line."""
    files = {"edgetl/__init__.py": "", "edgetl/runtime/__init__.py": ""}
    sources: dict[str, Path] = {}
    for name, text in {**files, "edgetl/runtime/__main__.py": code}.items():
        sources[name] = tmp_path / name.replace("/", "-")
        sources[name].write_text(text, encoding="utf-8")
    with open_device("local").connect() as connection:
        connection.put(sources)
        return bench(connection, "local", "model", request)


def test_runtime_is_asked_in_the_words_of_its_command_line(tmp_path: Path) -> None:
    words = ["bench", "model", "--json", "--threads", "2", "--seconds", "10.0", "--count", "50"]
    words += ["--runs", "5"]
    once = TimingRequest(2, _PLAN, slowest_s=4.0)
    assert _bench(tmp_path, _ECHO, once) == {"asked": words}
    longer = TimingRequest(2, _PLAN, slowest_s=4.0, sustained_minutes=0.5)
    assert _bench(tmp_path, _ECHO, longer) == {"asked": [*words, "--sustained", "0.5"]}


def test_what_is_no_latency_is_an_error_of_the_device(tmp_path: Path) -> None:
    request = TimingRequest(1, _PLAN, slowest_s=4.0)
    with pytest.raises(DeviceError, match=r"device 'local' printed 'nine ms\\n' instead of a late"):
        _bench(tmp_path, "print('nine ms')\n", request)


@pytest.mark.parametrize(
    ("provider", "start_s"),
    [pytest.param("cpu", 120, id="cpu"), pytest.param("trt", 1320, id="a program is built")],
)
def test_timing_hangs_only_after_all_its_attempts_on_the_slowest_device(
    provider: str, start_s: float
) -> None:
    request = TimingRequest(1, _PLAN, 4.0, provider, sustained_minutes=3.0)
    # Ten runs, each alone and end to end: 50 inferences of 4 s, and twice the seconds; and minutes.
    assert request.timeout_s == start_s + 10 * 2 * (50 * 4 + 20) + 2 * 3 * 60
