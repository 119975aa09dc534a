"""Detect what disturbs a timing: a hypervisor, other programs, throttling."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgetl.runtime.sensors import Sensors, read_line

_USER, _NICE, _SYSTEM, _IRQ, _SOFTIRQ, _STEAL = 1, 2, 3, 6, 7, 8
"""Field positions in the first line of /proc/stat; field 0 is `cpu`."""

_MAX_SWITCHES_PER_S = 40
_MAX_STEAL_SHARE = 0.02
_MAX_OTHERS_CORES = 0.25
_SHORTEST_S = 0.2
"""Processor time has a resolution of 10 ms, so shorter runs are treated as this long."""
_MIN_FREQUENCY_SHARE = 0.9


@dataclass(frozen=True)
class Disturbance:
    """Activity of the machine during one run, apart from the run itself."""

    seconds: float
    steal_share: float
    """Steal time: the share of all cores' time that a hypervisor gave to other guests."""
    involuntary_switches: int
    """Number of involuntary context switches of this process."""
    others_cores: float
    """Mean number of cores kept busy by other programs; on any core they compete for cache, memory
    bandwidth and thermal headroom."""
    load: float | None
    """Load average of the last minute; reported only, because it lags."""
    frequency_mhz: tuple[float | None, float | None]
    """The largest relative fall: a reading and a later, lower one. Times before and after a fall do
    not belong together."""
    throttled: tuple[str, ...] = ()
    """Reasons for throttling at the start or during the run; throttling by firmware need not show
    in the frequency."""

    @property
    def interfered(self) -> bool:
        """Whether the run is invalid because the machine was shared or throttled."""
        return any(self.reasons())

    def reasons(self) -> Iterator[str]:
        """Yield the reasons why the run is invalid, as text for users.

        On an idle machine, system services cause up to about 10 involuntary switches a second and
        use a twentieth of a core; a competing process causes a hundred, or uses a whole core.
        """
        if self.steal_share > _MAX_STEAL_SHARE:
            yield f"a hypervisor took {self.steal_share:.0%} of the processor"
        if self.involuntary_switches > _MAX_SWITCHES_PER_S * max(self.seconds, 1.0):
            yield f"the process was interrupted {self.involuntary_switches} times"
        if self.others_cores * self.seconds > _MAX_OTHERS_CORES * max(self.seconds, _SHORTEST_S):
            yield f"other programs kept {self.others_cores:.1f} cores busy"
        before, after = self.frequency_mhz
        if before and after and after < _MIN_FREQUENCY_SHARE * before:
            yield f"the frequency fell from {before:.0f} to {after:.0f} MHz"
        if self.throttled:
            yield f"the processor was throttled: {', '.join(self.throttled)}"


class Watch:
    """Observes the machine from construction until `read`; tests pass another `root`."""

    def __init__(self, sensors: Sensors, root: Path = Path("/")) -> None:
        self._sensors = sensors
        self._stat = root / "proc/stat"
        self._load = root / "proc/loadavg"
        self._throttled = sensors.throttled()
        self._highest_mhz = sensors.frequency_mhz()
        self._fall_mhz = self._highest_mhz, self._highest_mhz
        self._started = time.monotonic()
        self._busy_s, self._steal_s = self._processor_s()
        self._own_s, self._switches = _own()

    def tick(self) -> None:
        """Read the frequency, which may fall and recover before the end."""
        now_mhz = self._sensors.frequency_mhz()
        if now_mhz is None or self._highest_mhz is None:
            return
        before, after = self._fall_mhz
        self._highest_mhz = max(self._highest_mhz, now_mhz)
        if not before or not after or now_mhz / self._highest_mhz < after / before:
            self._fall_mhz = self._highest_mhz, now_mhz

    def read(self) -> Disturbance:
        """Return the disturbance since the start."""
        self.tick()
        seconds = time.monotonic() - self._started
        busy_s, steal_s = self._processor_s()
        own_s, switches = _own()
        others_s = (busy_s - self._busy_s) - (own_s - self._own_s)
        load = (read_line(self._load) or "").partition(" ")[0]
        return Disturbance(
            seconds=seconds,
            steal_share=(steal_s - self._steal_s) / ((os.cpu_count() or 1) * seconds),
            involuntary_switches=switches - self._switches,
            others_cores=max(others_s, 0.0) / seconds,
            load=float(load) if load else None,
            frequency_mhz=self._fall_mhz,
            throttled=tuple(dict.fromkeys((*self._throttled, *self._sensors.throttled()))),
        )

    def _processor_s(self) -> tuple[float, float]:
        """Return busy and stolen time of all cores since the machine started, seconds."""
        fields = (read_line(self._stat) or "").partition("\n")[0].split()
        if len(fields) <= _STEAL:
            return 0.0, 0.0
        tick_s = 1 / os.sysconf("SC_CLK_TCK")
        busy = sum(int(fields[i]) for i in (_USER, _NICE, _SYSTEM, _IRQ, _SOFTIRQ))
        return busy * tick_s, int(fields[_STEAL]) * tick_s


def _own() -> tuple[float, int]:
    """Return processor time, seconds, with that of children, and involuntary switches."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    return seconds, own.ru_nivcsw
