from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgetl.runtime.closed_loop import take_runs
from edgetl.runtime.interference import Disturbance, Watch
from edgetl.runtime.measurement import _MachineObserver
from edgetl.runtime.sensors import Sensors
from edgetl.runtime.timing_plan import TimingPlan

_QUIET = Disturbance(2.0, 0.0, 0, 0.05, 0.1, (1500.0, 1500.0))
_TICKS = os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        pytest.param({}, [], id="alone"),
        pytest.param({"involuntary_switches": 80}, [], id="40 a second"),
        pytest.param(
            {"involuntary_switches": 81}, ["the process was interrupted 81 times"], id="more"
        ),
        pytest.param(
            {"involuntary_switches": 40, "seconds": 0.1}, [], id="a short time counts as a second"
        ),
        pytest.param({"steal_share": 0.03}, ["a hypervisor took 3% of the processor"], id="stolen"),
        pytest.param({"others_cores": 0.25}, [], id="services"),
        pytest.param(
            {"others_cores": 1.04}, ["other programs kept 1.0 cores busy"], id="a hog elsewhere"
        ),
        pytest.param({"others_cores": 2.0, "seconds": 0.02}, [], id="a few ticks of 10 ms"),
        pytest.param({"frequency_mhz": (1500.0, 1350.0)}, [], id="a tenth slower"),
        pytest.param(
            {"frequency_mhz": (1500.0, 600.0)},
            ["the frequency fell from 1500 to 600 MHz"],
            id="slower",
        ),
        pytest.param({"frequency_mhz": (600.0, 1500.0)}, [], id="faster"),
        pytest.param({"frequency_mhz": (None, None)}, [], id="no sensor"),
        pytest.param(
            {"throttled": ("under-voltage", "frequency capped")},
            ["the processor was throttled: under-voltage, frequency capped"],
            id="throttled",
        ),
    ],
)
def test_disturbance_is_named(changes: dict[str, float], reasons: list[str]) -> None:
    disturbance = Disturbance(**{**vars(_QUIET), **changes})
    assert list(disturbance.reasons()) == reasons
    assert disturbance.interfered is bool(reasons)


def test_watch_reports_processor_time_of_other_programs(tmp_path: Path) -> None:
    _write_stat(tmp_path, busy_s=10.0, steal_s=1.0)
    (tmp_path / "proc/loadavg").write_text("1.25 0.50 0.25 2/100 4242\n")
    watch = Watch(Sensors(tmp_path), tmp_path)
    time.sleep(0.1)
    # Far more than this process can have used.
    _write_stat(tmp_path, busy_s=15.0, steal_s=1.5)
    disturbance = watch.read()
    assert disturbance.seconds >= 0.1
    assert 4.0 < disturbance.others_cores * disturbance.seconds <= 5.0
    assert disturbance.steal_share == pytest.approx(
        0.5 / (os.cpu_count() or 1) / disturbance.seconds
    )
    assert disturbance.load == 1.25
    assert disturbance.frequency_mhz == (None, None)


@pytest.mark.parametrize(
    ("column", "is_busy"),
    [
        pytest.param("user", True, id="user"),
        pytest.param("nice", True, id="nice"),
        pytest.param("system", True, id="system"),
        pytest.param("idle", False, id="idle"),
        pytest.param("iowait", False, id="iowait"),
        pytest.param("irq", True, id="irq"),
        pytest.param("softirq", True, id="softirq"),
        pytest.param("steal", False, id="steal"),
        # The kernel counts guest time as user time as well (proc(5)).
        pytest.param("guest", False, id="guest"),
    ],
)
def test_watch_counts_every_kind_of_work_of_others(
    tmp_path: Path, column: str, *, is_busy: bool
) -> None:
    names = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest"]
    ticks = dict.fromkeys(names, 10 * _TICKS)
    (tmp_path / "proc").mkdir()
    stat = tmp_path / "proc/stat"
    stat.write_text(f"cpu  {' '.join(map(str, ticks.values()))}\n")
    watch = Watch(Sensors(tmp_path), tmp_path)
    time.sleep(0.05)
    ticks[column] += 5 * _TICKS
    stat.write_text(f"cpu  {' '.join(map(str, ticks.values()))}\n")
    disturbance = watch.read()
    # This process has worked for less than a second meanwhile.
    assert (disturbance.others_cores * disturbance.seconds > 4.0) is is_busy


@pytest.mark.parametrize(
    ("readings", "fall"),
    [
        pytest.param([1500, 600, 1500], (1500.0, 600.0), id="falls and rises again"),
        pytest.param([600, 1500, 1500], (600.0, 600.0), id="only rises"),
        pytest.param([600, 1500, 1200], (1500.0, 1200.0), id="rises and falls"),
        pytest.param([1000, 700, 1500, 1200], (1000.0, 700.0), id="the larger fall"),
    ],
)
def test_watch_reports_the_largest_fall_of_the_frequency(
    readings: list[int], fall: tuple[float, float], tmp_path: Path
) -> None:
    file = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"
    file.parent.mkdir(parents=True)
    file.write_text(f"{readings[0]}000\n")
    watch = Watch(Sensors(tmp_path), tmp_path)
    for reading in readings[1:-1]:
        file.write_text(f"{reading}000\n")
        watch.tick()
    file.write_text(f"{readings[-1]}000\n")
    assert watch.read().frequency_mhz == fall


def test_watch_reports_throttling_at_the_start(tmp_path: Path) -> None:
    device = tmp_path / "sys/class/thermal/cooling_device0"
    device.mkdir(parents=True)
    (device / "type").write_text("cpufreq-cpu0\n")
    (device / "cur_state").write_text("2\n")
    watch = Watch(Sensors(tmp_path), tmp_path)
    (device / "cur_state").write_text("0\n")
    assert watch.read().throttled == ("cooled by cpufreq-cpu0",)


def test_own_work_is_not_a_disturbance(tmp_path: Path) -> None:
    _write_stat(tmp_path, busy_s=10.0, steal_s=0.0)
    watch = Watch(Sensors(tmp_path), tmp_path)
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    _write_stat(tmp_path, busy_s=10.1, steal_s=0.0)
    assert watch.read().others_cores == pytest.approx(0.0, abs=0.01)


def test_machine_without_counters_reports_no_disturbance(tmp_path: Path) -> None:
    disturbance = Watch(Sensors(tmp_path), tmp_path).read()
    assert (disturbance.steal_share, disturbance.others_cores, disturbance.load) == (0.0, 0.0, None)


def test_only_the_line_of_all_cores_is_read(tmp_path: Path) -> None:
    # A kernel that does not count stolen time; the lines of the cores below are no columns of it.
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/stat").write_text("cpu  1 2 3 4\ncpu0 5 6 7 8\n")
    watch = Watch(Sensors(tmp_path), tmp_path)
    (tmp_path / "proc/stat").write_text("cpu  9000 2 3 4\ncpu0 5 6 9000 8\n")
    disturbance = watch.read()
    assert (disturbance.steal_share, disturbance.others_cores) == (0.0, 0.0)


def test_program_that_starts_during_a_run_makes_it_invalid() -> None:
    hog = _Hog()
    observer = _MachineObserver(Sensors())
    try:
        run = next(take_runs(hog, time.perf_counter_ns, TimingPlan(0.4, 1, 1), observer))
    finally:
        hog.stop()
    assert run.disturbance.interfered
    assert any("other programs kept" in reason for reason in run.disturbance.reasons())
    assert run.disturbance.others_cores > 0.25


class _Hog:
    """Work that starts another program soon after it has begun."""

    def __init__(self) -> None:
        self._calls = 0
        self._started: list[subprocess.Popen[bytes]] = []

    def model(self) -> None:
        self._calls += 1
        if self._calls == 10:
            self._started.append(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
        sum(range(20_000))

    def end_to_end(self) -> tuple[int, int]:
        self.model()
        return 0, 0

    def stop(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()


def _write_stat(root: Path, *, busy_s: float, steal_s: float) -> None:
    (root / "proc").mkdir(exist_ok=True)
    user, steal = round(busy_s * _TICKS), round(steal_s * _TICKS)
    (root / "proc/stat").write_text(f"cpu  {user} 0 0 900 50 0 0 {steal} 0 0\ncpu0 1 2 3\n")
