"""What disturbs a timing: a hypervisor, other programs, a processor that slows down."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgetl.runtime.sensors import Sensors, read_line

_USER, _NICE, _SYSTEM, _IRQ, _SOFTIRQ, _STEAL = 1, 2, 3, 6, 7, 8
"""Positions in the first line of /proc/stat, counting the word `cpu`."""

_MAX_SWITCHES_PER_S = 40
_MAX_STEAL_SHARE = 0.02
_MAX_OTHERS_CORES = 0.25
_SHORTEST_S = 0.2
"""Processor time is counted in steps of 10 ms, so a shorter run counts as this long."""
_MIN_FREQUENCY_SHARE = 0.9


@dataclass(frozen=True)
class Disturbance:
    """What happened on the machine during one run."""

    seconds: float
    steal_share: float
    """Time that a hypervisor gave to others, as a share of all cores' time."""
    involuntary_switches: int
    """How often the system interrupted this process in favour of another one."""
    others_cores: float
    """How many cores other programs kept busy on average, wherever they ran: they share caches,
    memory and the heat."""
    load: float | None
    """Programs that wanted to run, mean of the last minute; told, not judged: it lags behind."""
    frequency_mhz: tuple[float | None, float | None]
    """A reading, and a later one that is lower by the largest share. A processor that slows down
    during a run gives times of two processors."""
    throttled: tuple[str, ...] = ()
    """What slowed the processor down when the run began, or until it ended. A firmware that does so
    need not show it in the frequency."""

    @property
    def interfered(self) -> bool:
        """Whether the times are those of a shared machine rather than of the model."""
        return any(self.reasons())

    def reasons(self) -> Iterator[str]:
        """Yield in words what makes the run invalid.

        An idle machine shows up to about 10 involuntary switches a second and a twentieth of a
        core from its own services; a competing process shows a hundred, or a core.
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
            yield f"the processor was slowed down: {', '.join(self.throttled)}"


class Watch:
    """Observes the machine from its making until `read`; `root` is another one only in tests."""

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
        """Read the frequency, which may fall and rise again before the end."""
        now_mhz = self._sensors.frequency_mhz()
        if now_mhz is None or self._highest_mhz is None:
            return
        before, after = self._fall_mhz
        self._highest_mhz = max(self._highest_mhz, now_mhz)
        if not before or not after or now_mhz / self._highest_mhz < after / before:
            self._fall_mhz = self._highest_mhz, now_mhz

    def read(self) -> Disturbance:
        """Return what happened since the start."""
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
    """Return processor time and involuntary switches of this process and what it started."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    return seconds, own.ru_nivcsw
