"""Read a machine's sensors: temperature, clock frequency, throttling, energy.

All of them are optional: a reading is None or empty if the machine has no such sensor or this user
may not read it. Values come from files, on a Raspberry Pi also from ``vcgencmd``.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_PI_FLAGS = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
"""Bits of ``vcgencmd get_throttled`` for the present state; the others are history."""
_PI_TIMEOUT_S = 2.0

_CPU = "sys/devices/system/cpu"


class Sensors:
    """The sensors below `root`; tests pass another folder."""

    def __init__(self, root: Path = Path("/"), pi_command: str | None = None) -> None:
        self._root = root
        self._pi_command = pi_command or shutil.which("vcgencmd")
        self._throttle_count = self._throttle_events()

    def temperature_c(self) -> float | None:
        """Return the temperature of the hottest zone, degrees Celsius."""
        return max(
            (reading / 1000 for reading in self._numbers("sys/class/thermal/thermal_zone*/temp")),
            default=None,
        )

    def frequency_mhz(self) -> float | None:
        """Return the frequency of the fastest core, MHz."""
        return max(
            (reading / 1000 for reading in self._numbers(f"{_CPU}/cpu*/cpufreq/scaling_cur_freq")),
            default=None,
        )

    def governor(self) -> str | None:
        """Return the name of the cpufreq governor."""
        return read_line(self._root / _CPU / "cpu0/cpufreq/scaling_governor")

    def throttled(self) -> tuple[str, ...]:
        """Return the reasons for throttling now or since the last call."""
        reasons = list(self._pi_throttled())
        for device in sorted(self._root.glob("sys/class/thermal/cooling_device*")):
            kind = read_line(device / "type") or ""
            slows = "cpufreq" in kind or kind == "Processor"
            if slows and (read_line(device / "cur_state") or "0") != "0":
                reasons.append(f"cooled by {kind}")
        events = self._throttle_events()
        if events > self._throttle_count:
            reasons.append("throttled by temperature")
        self._throttle_count = events
        return tuple(reasons)

    def energy_counters(self) -> dict[str, tuple[int, int]]:
        """Return, per RAPL package, the energy counter in microjoules and its wrap-around value."""
        counters = {}
        for package in sorted(self._root.glob("sys/class/powercap/intel-rapl:*")):
            # intel-rapl:0 is a package; intel-rapl:0:0 and so on are parts of it.
            if package.name.count(":") == 1:
                count = _number(package / "energy_uj")
                most = _number(package / "max_energy_range_uj")
                if count is not None and most is not None:
                    counters[package.name] = count, most
        return counters

    def power_w(self) -> float | None:
        """Return the board's input power from its INA sensors, watts."""
        watts = [power for rails in self._rails() for power in _input_power(rails)]
        return sum(watts) if watts else None

    def _rails(self) -> Iterator[dict[str, float]]:
        """Yield the watts of every INA sensor's channels, by label."""
        for sensor in sorted(self._root.glob("sys/class/hwmon/hwmon*")):
            if (read_line(sensor / "name") or "").startswith("ina"):
                yield _hwmon_rails(sensor)
        # JetPack 4 has its own driver, which exposes the channels as industrial I/O.
        for chip in sorted(self._root.glob("sys/bus/i2c/drivers/ina3221x/*-*")):
            for device in [*sorted(chip.glob("iio:device*")), *chip.glob("iio_device")][:1]:
                yield _iio_rails(device)

    def _pi_throttled(self) -> Iterator[str]:
        if self._pi_command is None:
            return
        try:
            done = subprocess.run(  # noqa: S603 - a fixed command
                [self._pi_command, "get_throttled"],
                capture_output=True,
                text=True,
                timeout=_PI_TIMEOUT_S,
                check=True,
            )
            flags = int(done.stdout.strip().partition("=")[2], 16)
        except (OSError, ValueError, subprocess.SubprocessError):
            return
        for bit, name in _PI_FLAGS.items():
            if flags >> bit & 1:
                yield name

    def _throttle_events(self) -> int:
        return sum(self._numbers(f"{_CPU}/cpu*/thermal_throttle/*_throttle_count"))

    def _numbers(self, pattern: str) -> list[int]:
        readings = (_number(path) for path in self._root.glob(pattern))
        return [reading for reading in readings if reading is not None]


class EnergyMeter:
    """Adds up energy from construction on, from RAPL counters or INA power times time.

    Covers the whole processor package or board, including idle power. Call `tick` about once a
    second: counters wrap around, and power is assumed to be steady in between.
    """

    def __init__(self, sensors: Sensors, now: Callable[[], int] = time.perf_counter_ns) -> None:
        self._sensors = sensors
        self._now = now
        self._counters = sensors.energy_counters()
        self._power_w = None if self._counters else sensors.power_w()
        self._at_ns = now()
        self._joules = 0.0

    def tick(self) -> None:
        """Add the energy since the last call."""
        if self._counters:
            counters = self._sensors.energy_counters()
            for name, (count, most) in counters.items():
                if name in self._counters:
                    used = count - self._counters[name][0]
                    self._joules += (used if used >= 0 else used + most) / 1e6
            self._counters.update(counters)
        elif self._power_w is not None:
            power_w, at_ns = self._sensors.power_w(), self._now()
            mean_w = self._power_w if power_w is None else (self._power_w + power_w) / 2
            self._joules += mean_w * (at_ns - self._at_ns) / 1e9
            self._power_w, self._at_ns = power_w, at_ns

    def read_j(self) -> float | None:
        """Return the energy so far in joules, or None without a sensor."""
        if not self._counters and self._power_w is None:
            return None
        self.tick()
        return self._joules


def read_line(path: Path) -> str | None:
    """Return the stripped text of a small system file, or None if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _hwmon_rails(sensor: Path) -> dict[str, float]:
    rails = {}
    for current in sorted(sensor.glob("curr*_input")):
        number = current.name[len("curr") : -len("_input")]
        power_uw = _number(sensor / f"power{number}_input")
        volts, amperes = _number(sensor / f"in{number}_input"), _number(current)
        if power_uw is not None:
            watts = power_uw / 1e6
        elif volts is not None and amperes is not None:
            watts = volts * amperes / 1e6
        else:
            continue
        rails[read_line(sensor / f"in{number}_label") or ""] = watts
    return rails


def _iio_rails(device: Path) -> dict[str, float]:
    rails = {}
    for power in sorted(device.glob("in_power*_input")):
        power_mw = _number(power)
        if power_mw is not None:
            number = power.name[len("in_power") : -len("_input")]
            rails[read_line(device / f"rail_name_{number}") or number] = power_mw / 1e3
    return rails


def _input_power(rails: dict[str, float]) -> Iterator[float]:
    """Yield the watts of the input channels: those labelled ``_IN``, else the only channel."""
    inputs = [watts for label, watts in rails.items() if label.endswith("_IN")]
    yield from inputs or (rails.values() if len(rails) == 1 else ())


def _number(path: Path) -> int | None:
    text = read_line(path)
    try:
        return None if text is None else int(text)
    except ValueError:
        return None
