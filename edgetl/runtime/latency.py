"""Time single inferences: one stream, batch 1, from loading to steady state."""

from __future__ import annotations

import itertools
import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgetl.runtime import golden, host
from edgetl.runtime.errors import BundleError
from edgetl.runtime.predictor import Predictor

if TYPE_CHECKING:
    from edgetl.runtime.host import Disturbance

SCHEMA = 1
QUANTILES = (0.5, 0.9, 0.95, 0.99)

_NS_PER_MS = 1e6
_NS_PER_S = 10**9

_WINDOW_COUNT = 10
_WINDOW_S = 0.02
_STABLE_SHARE = 0.02
_WARM_UP_LIMIT_S = 10.0

_RESAMPLES = 2000
_SEED = 0


@dataclass(frozen=True)
class Interval:
    """A quantile of times with its 95 % bootstrap interval, milliseconds."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Latency:
    """Times of single inferences, in the order they were taken.

    Raw samples are kept and every figure is derived from them, so a report can be recomputed and a
    drift over time (thermal throttling) can still be seen.
    """

    engine: str
    threads: int
    load_ns: int
    """Opening the model folder, the import of the engine included."""
    first_ns: int
    """The first inference, in which engines allocate and pack."""
    warm_up_count: int
    stable: bool
    """Whether the warm-up ended because two windows agreed, not because time was up."""
    samples_ns: tuple[int, ...]
    """Pixels to outputs."""
    end_to_end_ns: tuple[int, ...]
    """Photo file to class or objects: decoding, fitting, model, what follows."""
    peak_memory_bytes: int | None
    """Resident memory of the whole process at its largest."""
    temperature_c: tuple[float | None, float | None]
    """Before and after."""
    disturbance: Disturbance
    host: dict[str, str | int | None]
    """Fingerprint of the machine that was timed; a limit compares it with the target's."""

    @property
    def interfered(self) -> bool:
        """Whether the machine was so busy with other things that the times are not the model's."""
        return self.disturbance.interfered

    def quantile_ms(self, q: float) -> float:
        """Return the `q` quantile of `samples_ns` by nearest rank: a time that was measured."""
        return nearest_rank(sorted(self.samples_ns), q) / _NS_PER_MS

    def as_json(self) -> dict[str, Any]:
        """Return the raw measurement as plain JSON; `from_json` is the way back."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Latency:
        """Return the measurement that `as_json` wrote.

        Raises:
            ValueError: If it has another schema.
        """
        if data.get("schema") != SCHEMA:
            raise ValueError(f"latency has schema {data.get('schema')!r}, not {SCHEMA}")
        values = {key: value for key, value in data.items() if key != "schema"}
        for key in ("samples_ns", "end_to_end_ns", "temperature_c"):
            values[key] = tuple(values[key])
        values["disturbance"] = host.Disturbance(**values["disturbance"])
        return cls(**values)

    def summary(self) -> dict[str, Any]:
        """Return the figures that people and limits read, as plain JSON; times in milliseconds."""
        return {
            "engine": self.engine,
            "threads": self.threads,
            "load_ms": self.load_ns / _NS_PER_MS,
            "first_ms": self.first_ns / _NS_PER_MS,
            "count": len(self.samples_ns),
            "model_ms": _quantiles(self.samples_ns),
            "end_to_end_ms": _quantiles(self.end_to_end_ns),
            "peak_memory_bytes": self.peak_memory_bytes,
            "stable": self.stable,
            "interfered": self.interfered,
        }


def measure(folder: Path, *, threads: int, seconds: float, count: int) -> Latency:
    """Time the model folder `folder` in this process.

    Call it in a process of its own: loading time and memory are those of the process.

    Args:
        folder: A model folder with golden samples.
        threads: How many threads one inference may use.
        seconds: Time at least this long, for the model alone and again end to end.
        count: Time at least this many inferences, likewise.

    Raises:
        RuntimeFault: If the folder cannot be opened, or has no golden samples.
    """
    started = time.perf_counter_ns()
    predictor = Predictor.open(folder, threads)
    load_ns = time.perf_counter_ns() - started
    samples = golden.load(folder, [output.name for output in predictor.contract.outputs])
    if not len(samples.pixels) or not len(samples.fitted):
        raise BundleError(
            f"{folder} has no golden samples to time", remedy="export the model again"
        )
    inputs = itertools.cycle([samples.pixels[i : i + 1] for i in range(len(samples.pixels))])
    photos = itertools.cycle([folder / golden.photo_file(i) for i in range(len(samples.fitted))])

    def run_model() -> None:
        predictor.session.run(next(inputs))

    def run_all() -> None:
        predictor.predict(next(photos))

    first_ns = _timed(run_model)
    warm_up_count, stable = _warm_up(run_model)
    before = host.temperature_c()
    watch = host.Watch()
    samples_ns = _samples(run_model, seconds, count)
    end_to_end_ns = _samples(run_all, seconds, count)
    return Latency(
        engine=predictor.session.engine,
        threads=threads,
        load_ns=load_ns,
        first_ns=first_ns,
        warm_up_count=warm_up_count,
        stable=stable,
        samples_ns=samples_ns,
        end_to_end_ns=end_to_end_ns,
        peak_memory_bytes=host.peak_memory_bytes(),
        temperature_c=(before, host.temperature_c()),
        disturbance=watch.read(),
        host=host.fingerprint(),
    )


def load_latency(path: Path) -> Latency:
    """Return the measurement in the file `path`; raises ValueError if it is none."""
    return Latency.from_json(json.loads(path.read_text(encoding="utf-8")))


def nearest_rank(ordered: Sequence[int], q: float) -> int:
    """Return the smallest of `ordered`, sorted, that at least the share `q` does not exceed."""
    rank = max(1, math.ceil(q * len(ordered)))
    return ordered[rank - 1]


def quantile_interval(samples_ns: Sequence[int], q: float) -> Interval:
    """Return the `q` quantile by nearest rank with its 95 % percentile bootstrap interval.

    Resampling n times from n sorted values and taking the k-th smallest is the same as taking the
    value at rank ``ceil(n * u)`` with u from Beta(k, n - k + 1), so that is drawn instead. Samples
    count as independent; a drift makes the true interval wider.
    """
    import numpy as np

    ordered = sorted(samples_ns)
    n = len(ordered)
    k = max(1, math.ceil(q * n))
    draws = np.random.default_rng(_SEED).beta(k, n - k + 1, _RESAMPLES)
    ranks = np.sort(np.maximum(1, np.ceil(n * draws)).astype(int))
    low, high = (nearest_rank(ranks.tolist(), share) for share in (0.025, 0.975))
    return Interval(
        ordered[k - 1] / _NS_PER_MS, ordered[low - 1] / _NS_PER_MS, ordered[high - 1] / _NS_PER_MS
    )


def _quantiles(samples_ns: Sequence[int]) -> dict[str, dict[str, float]]:
    return {f"p{round(q * 100)}": asdict(quantile_interval(samples_ns, q)) for q in QUANTILES}


def _warm_up(run: Callable[[], None]) -> tuple[int, bool]:
    """Run until the medians of two windows agree; return how often, and whether they did."""
    until = time.monotonic() + _WARM_UP_LIMIT_S
    previous = math.inf
    done = 0
    while time.monotonic() < until:
        window = _samples(run, _WINDOW_S, _WINDOW_COUNT)
        done += len(window)
        median = statistics.median(window)
        if abs(median - previous) <= _STABLE_SHARE * previous < math.inf:
            return done, True
        previous = median
    return done, False


def _samples(run: Callable[[], None], seconds: float, count: int) -> tuple[int, ...]:
    """Time `run` for at least `seconds` and at least `count` times."""
    taken: list[int] = []
    until = time.perf_counter_ns() + round(seconds * _NS_PER_S)
    while len(taken) < count or time.perf_counter_ns() < until:
        taken.append(_timed(run))
    return tuple(taken)


def _timed(run: Callable[[], None]) -> int:
    started = time.perf_counter_ns()
    run()
    return time.perf_counter_ns() - started
