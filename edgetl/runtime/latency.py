"""Latency of single inferences: one stream, batch 1, from loading to steady state."""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from edgetl.runtime.closed_loop import Run, WarmUp
from edgetl.runtime.engines import CPU
from edgetl.runtime.interference import Disturbance
from edgetl.runtime.quantiles import NS_PER_MS, headline, intervals
from edgetl.runtime.sustained import Sustained
from edgetl.runtime.timing_plan import TimingPlan

SCHEMA = 3

_TIMES = ("model_ns", "end_to_end_ns", "pre_ns", "post_ns")


@dataclass(frozen=True)
class Latency:
    """All runs of one measurement, including disturbed ones.

    Raw samples are kept and every figure is derived from them, so a report can be recomputed and a
    drift over time (thermal throttling) can still be seen.
    """

    engine: str
    threads: int
    plan: TimingPlan
    load_ns: int
    """Time to open the model folder, including the import of the engine."""
    first_ns: int
    """Time of the first inference, in which engines allocate memory and pack weights."""
    warm_up: WarmUp
    runs: tuple[Run, ...]
    """At least one."""
    peak_memory_bytes: int | None
    """Peak resident memory of the process up to the end of the first run."""
    host: dict[str, str | int | None]
    """Fingerprint of the machine that was timed; a limit compares it with the target's."""
    sustained: Sustained | None = None
    """The sustained measurement, if requested."""
    provider: str = CPU
    """Execution provider; older records do not name it."""

    @property
    def undisturbed(self) -> tuple[Run, ...]:
        """The runs in which no other program disturbed the timing."""
        return tuple(run for run in self.runs if not run.disturbance.interfered)

    @property
    def interfered(self) -> bool:
        """Whether too few runs were undisturbed to give the model's own latency."""
        num_samples = sum(len(run.model_ns) for run in self.undisturbed)
        return not self.plan.enough(len(self.undisturbed), num_samples)

    @property
    def counted(self) -> tuple[Run, ...]:
        """The runs used for figures: the undisturbed ones, or all if those are too few."""
        return self.runs if self.interfered else self.undisturbed

    def as_json(self) -> dict[str, Any]:
        """Return the raw measurement as plain JSON; `from_json` is the inverse."""
        data = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in ("plan", "warm_up"):
            data[name] = asdict(data[name])
        data["runs"] = [run_as_json(run) for run in self.runs]
        data["sustained"] = None if self.sustained is None else asdict(self.sustained)
        return {"schema": SCHEMA, **data}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Latency:
        """Return the measurement from the output of `as_json`; a ``summary`` key is ignored.

        Raises:
            ValueError: If it has another schema.
        """
        if data.get("schema") != SCHEMA:
            raise ValueError(f"latency has schema {data.get('schema')!r}, not {SCHEMA}")
        values = {key: value for key, value in data.items() if key not in {"schema", "summary"}}
        values["plan"] = TimingPlan(**values["plan"])
        values["warm_up"] = WarmUp(**values["warm_up"])
        values["runs"] = tuple(run_from_json(run) for run in values["runs"])
        sustained = values["sustained"]
        values["sustained"] = None if sustained is None else Sustained.from_json(sustained)
        return cls(**values)

    def summary(self) -> dict[str, Any]:
        """Return the derived figures as plain JSON; times in milliseconds.

        A quantile is null where there are too few samples for it.
        """
        return {
            "engine": self.engine,
            "provider": self.provider,
            "threads": self.threads,
            "load_ms": self.load_ns / NS_PER_MS,
            "first_ms": self.first_ns / NS_PER_MS,
            "count": sum(len(run.model_ns) for run in self.counted),
            "model_ms": self._figures("model_ns"),
            "end_to_end_ms": self._figures("end_to_end_ns"),
            "pre_ms": self._figures("pre_ns"),
            "post_ms": self._figures("post_ns"),
            "peak_memory_bytes": self.peak_memory_bytes,
            "energy_j": self._energy_j(),
            "hottest_c": self._hottest_c(),
            "warm_up_count": self.warm_up.count,
            "stable": self.warm_up.stable,
            "interfered": self.interfered,
            "runs": self._runs_summary(),
            "sustained": None if self.sustained is None else self.sustained.summary(),
        }

    def _figures(self, times: str) -> dict[str, dict[str, float] | None]:
        quantiles = intervals([getattr(run, times) for run in self.counted])
        return {
            f"p{round(q * 100)}": None if interval is None else asdict(interval)
            for q, interval in quantiles.items()
        }

    def _energy_j(self) -> float | None:
        """Return the energy per inference in joules, including the machine's idle power."""
        metered = [(run.energy_j, len(run.model_ns)) for run in self.counted]
        known = [(energy_j, count) for energy_j, count in metered if energy_j is not None]
        if not known:
            return None
        return sum(energy_j for energy_j, _ in known) / sum(count for _, count in known)

    def _hottest_c(self) -> float | None:
        """Return the highest temperature before or after any run, degrees Celsius."""
        readings = [reading for run in self.runs for reading in run.temperature_c]
        return max((reading for reading in readings if reading is not None), default=None)

    def _runs_summary(self) -> dict[str, Any]:
        return {
            "asked": self.plan.runs,
            "taken": len(self.runs),
            "undisturbed": len(self.undisturbed),
            "p50_ms": [headline([run.model_ns], 0.5) / NS_PER_MS for run in self.runs],
            "disturbances": [list(run.disturbance.reasons()) for run in self.runs],
        }


def load_latency(path: Path) -> Latency:
    """Return the measurement in the file `path`; raises ValueError for any other content."""
    return Latency.from_json(json.loads(path.read_text(encoding="utf-8")))


def run_as_json(run: Run) -> dict[str, Any]:
    """Return the run as plain JSON; `Latency.from_json` reads it."""
    data = {field.name: getattr(run, field.name) for field in fields(run)}
    data["disturbance"] = asdict(run.disturbance)
    return {**data, **{name: data[name].tolist() for name in _TIMES}}


def run_from_json(data: dict[str, Any]) -> Run:
    """Return the run from the output of `run_as_json`."""
    disturbance = dict(data["disturbance"])
    disturbance["frequency_mhz"] = _pair(disturbance["frequency_mhz"])
    disturbance["throttled"] = tuple(disturbance.get("throttled", ()))
    values = {
        **data,
        **{name: array("q", data[name]) for name in _TIMES},
        "disturbance": Disturbance(**disturbance),
        "temperature_c": _pair(data["temperature_c"]),
    }
    return Run(**values)


def _pair(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    first, second = values
    return first, second
