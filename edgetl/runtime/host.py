"""What the machine is, and what disturbed it while something was timed."""

from __future__ import annotations

import os
import platform
import resource
import time
from dataclasses import dataclass
from pathlib import Path

_STEAL_FIELD = 8
"""Position of stolen time in the first line of /proc/stat, counting the word `cpu`."""


def fingerprint() -> dict[str, str | int | None]:
    """Return what a timing depends on, as plain JSON; None where the system does not say."""
    return {
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
    }


def peak_memory_bytes() -> int | None:
    """Return the largest resident memory of this process so far, None where unknown.

    From ``VmHWM``: `resource.getrusage` also counts what a parent held before it started this one.
    """
    status = _read("/proc/self/status") or ""
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def temperature_c() -> float | None:
    """Return the hottest sensor, degrees Celsius, None if there is none."""
    zones = Path("/sys/class/thermal").glob("thermal_zone*/temp")
    readings = [_read(str(zone)) for zone in zones]
    found = [int(reading) / 1000 for reading in readings if reading]
    return max(found) if found else None


@dataclass(frozen=True)
class Disturbance:
    """What took the processor away during a measurement."""

    seconds: float
    steal_share: float
    """Time that a hypervisor gave to others, as a share of all cores' time."""
    involuntary_switches: int
    """How often the system interrupted this process in favour of another one."""

    @property
    def interfered(self) -> bool:
        """Whether the times are those of a shared machine rather than of the model.

        An idle machine shows up to about 10 involuntary switches a second from its own services;
        one competing process shows a hundred or more.
        """
        too_often = self.involuntary_switches > _MAX_SWITCHES_PER_S * max(self.seconds, 1.0)
        return too_often or self.steal_share > _MAX_STEAL_SHARE


_MAX_SWITCHES_PER_S = 40
_MAX_STEAL_SHARE = 0.02


class Watch:
    """Counts disturbances from its making until `read`."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._steal_s = _steal_s()
        self._switches = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw

    def read(self) -> Disturbance:
        """Return what happened since the start."""
        seconds = time.monotonic() - self._started
        cores = os.cpu_count() or 1
        switches = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw - self._switches
        steal_s = _steal_s() - self._steal_s
        return Disturbance(seconds, steal_s / (cores * seconds), switches)


def _steal_s() -> float:
    fields = (_read("/proc/stat") or "").partition("\n")[0].split()
    ticks = int(fields[_STEAL_FIELD]) if len(fields) > _STEAL_FIELD else 0
    return ticks / os.sysconf("SC_CLK_TCK")


def _processor() -> str | None:
    info = _read("/proc/cpuinfo") or ""
    for line in info.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    # ARM names the board instead.
    board = _read("/proc/device-tree/model")
    return board.strip("\0") if board else None


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
