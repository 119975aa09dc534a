from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from edgetl.runtime.sensors import Sensors
from edgetl.runtime.sustained import Minute, Reading, Sustained, sustain

_S = 10**9


class _Warming:
    """A model on a machine that throttles to half speed in minute two, with a simulated clock."""

    def __init__(self, root: Path) -> None:
        self.time_ns = 0
        self._cpu = root / "sys/devices/system/cpu/cpu0"
        self._zone = root / "sys/class/thermal/thermal_zone0"
        for folder in (self._cpu / "cpufreq", self._cpu / "thermal_throttle", self._zone):
            folder.mkdir(parents=True)
        (self._cpu / "cpufreq/scaling_governor").write_text("performance")
        self._set(60, 1500, 0)

    def now(self) -> int:
        return self.time_ns

    def run(self) -> None:
        slow = self.time_ns >= 90 * _S
        self.time_ns += _S // 2 if slow else _S // 4
        if slow:
            self._set(85, 750, self.time_ns)

    def _set(self, degrees: int, mhz: int, events: int) -> None:
        (self._zone / "temp").write_text(f"{degrees}000")
        (self._cpu / "cpufreq/scaling_cur_freq").write_text(f"{mhz}000")
        (self._cpu / "thermal_throttle/core_throttle_count").write_text(str(events))


def test_minutes_show_when_the_machine_was_throttled(tmp_path: Path) -> None:
    machine = _Warming(tmp_path)
    sustained = sustain(machine.run, machine.now, minutes=2.5, sensors=Sensors(tmp_path))
    assert [minute.count for minute in sustained.minutes] == [240, 120 + 60, 60]
    assert sustained.minutes[0] == Minute(240, _S // 4, _S // 4, _S // 4)
    assert sustained.minutes[1] == Minute(180, _S // 4, _S // 2, _S // 2)
    # One at the start and one a second.
    assert len(sustained.readings) == 1 + 150
    assert sustained.readings[0] == Reading(0.0, 60.0, 1500.0, "performance", ())
    first = sustained.throttled_from
    assert first is not None
    assert first.second == pytest.approx(91.0)
    assert sustained.summary() == {
        "p50_ms_by_minute": [250.0, 250.0, 500.0],
        "p95_ms_by_minute": [250.0, 500.0, 500.0],
        "slowdown": 2.0,
        "hottest_c": 85.0,
        "median_frequency_mhz": 1500.0,
        "slowest_frequency_mhz": 750.0,
        "throttled_from_s": first.second,
        "throttled_by": ["throttled by temperature"],
    }
    back = Sustained.from_json(json.loads(json.dumps(dataclasses.asdict(sustained))))
    assert back == sustained


def test_machine_without_sensors_still_reports_minutes(tmp_path: Path) -> None:
    machine = _Warming(tmp_path / "other")
    summary = sustain(machine.run, machine.now, minutes=0.01, sensors=Sensors(tmp_path)).summary()
    assert summary["p50_ms_by_minute"] == [250.0]
    assert summary["slowdown"] == 1.0
    assert summary["throttled_from_s"] is None
    assert summary["throttled_by"] == []
    assert (summary["hottest_c"], summary["slowest_frequency_mhz"]) == (None, None)
