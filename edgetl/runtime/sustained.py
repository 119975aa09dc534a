"""Run a model for minutes and observe thermal throttling."""

from __future__ import annotations

import statistics
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgetl.runtime.closed_loop import NS_PER_S, Now, samples
from edgetl.runtime.quantiles import NS_PER_MS, nearest_rank
from edgetl.runtime.sensors import Sensors

SLOWER = 1.05
"""Ratio of the last minute's median to the first minute's above which the model is slower."""

_S_PER_MINUTE = 60


@dataclass(frozen=True)
class Reading:
    """Sensor values at one moment, between two inferences."""

    second: float
    """Seconds since the start."""
    temperature_c: float | None
    frequency_mhz: float | None
    governor: str | None
    throttled: tuple[str, ...]
    """Reasons for throttling."""


@dataclass(frozen=True)
class Minute:
    """Statistics of the inference times of one minute (the last may be shorter), nanoseconds."""

    count: int
    p50_ns: int
    p95_ns: int
    max_ns: int


@dataclass(frozen=True)
class Sustained:
    """Result of running a model without a pause."""

    minutes: tuple[Minute, ...]
    readings: tuple[Reading, ...]

    @property
    def slowdown(self) -> float:
        """The last minute's median divided by the first minute's."""
        return self.minutes[-1].p50_ns / self.minutes[0].p50_ns

    @property
    def throttled_from(self) -> Reading | None:
        """The first reading that shows throttling."""
        return next((reading for reading in self.readings if reading.throttled), None)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Sustained:
        """Return the object from the output of `dataclasses.asdict`."""
        readings = (
            Reading(**{**reading, "throttled": tuple(reading["throttled"])})
            for reading in data["readings"]
        )
        return cls(tuple(Minute(**minute) for minute in data["minutes"]), tuple(readings))

    def summary(self) -> dict[str, Any]:
        """Return the derived figures as plain JSON."""
        first = self.throttled_from
        temperatures = [
            reading.temperature_c for reading in self.readings if reading.temperature_c is not None
        ]
        frequencies = [
            reading.frequency_mhz for reading in self.readings if reading.frequency_mhz is not None
        ]
        return {
            "p50_ms_by_minute": [minute.p50_ns / NS_PER_MS for minute in self.minutes],
            "p95_ms_by_minute": [minute.p95_ns / NS_PER_MS for minute in self.minutes],
            "slowdown": self.slowdown,
            "hottest_c": max(temperatures, default=None),
            "median_frequency_mhz": statistics.median(frequencies) if frequencies else None,
            "slowest_frequency_mhz": min(frequencies, default=None),
            "throttled_from_s": None if first is None else first.second,
            "throttled_by": [] if first is None else list(first.throttled),
        }


def sustain(run: Callable[[], object], now: Now, *, minutes: float, sensors: Sensors) -> Sustained:
    """Run without a pause for `minutes` and read the sensors once a second.

    Only the quantiles of each minute are kept: half an hour may have millions of samples.
    """
    started = now()
    readings: list[Reading] = []

    def read() -> None:
        readings.append(
            Reading(
                second=(now() - started) / NS_PER_S,
                temperature_c=sensors.temperature_c(),
                frequency_mhz=sensors.frequency_mhz(),
                governor=sensors.governor(),
                throttled=sensors.throttled(),
            )
        )

    read()
    by_minute: list[Minute] = []
    remaining_s = minutes * _S_PER_MINUTE
    while remaining_s > 0:
        seconds = min(remaining_s, _S_PER_MINUTE)
        by_minute.append(_minute(samples(run, now, seconds=seconds, count=1, each_second=read)))
        remaining_s -= seconds
    return Sustained(tuple(by_minute), tuple(readings))


def _minute(samples_ns: array[int]) -> Minute:
    ordered = sorted(samples_ns)
    return Minute(
        len(ordered), nearest_rank(ordered, 0.5), nearest_rank(ordered, 0.95), ordered[-1]
    )
