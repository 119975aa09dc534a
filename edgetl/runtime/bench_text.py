"""A latency in words, for a terminal or a log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from edgetl.runtime.sustained import SLOWER
from edgetl.runtime.timing_plan import ATTEMPTS_PER_RUN

if TYPE_CHECKING:
    from edgetl.runtime.latency import Latency

_PARTS = (
    ("model", "model_ms"),
    ("before it", "pre_ms"),
    ("after it", "post_ms"),
    ("end to end", "end_to_end_ms"),
)


def latency_lines(latency: Latency) -> Iterator[str]:
    """Yield what a person wants to know of `latency`, the doubts last."""
    summary = latency.summary()
    engine = f"{latency.engine} on {latency.provider}"
    yield f"{engine}, {latency.threads} thread(s), {latency.host['processor']}"
    yield f"load {summary['load_ms']:.1f} ms, first {summary['first_ms']:.2f} ms"
    runs = summary["runs"]
    medians = ", ".join(f"{median:.3f}" for median in runs["p50_ms"])
    yield f"runs {runs['taken']}, their medians {medians} ms; {summary['count']} inferences count"
    for name, key in _PARTS:
        yield f"{name}, ms: {_figures(summary[key])}"
    peak = latency.peak_memory_bytes
    yield f"peak memory {'unknown' if peak is None else f'{peak / 2**20:.0f} MiB'}"
    energy_j = summary["energy_j"]
    if energy_j is not None:
        yield f"energy {1000 * energy_j:.2f} mJ an inference, what the machine takes idle included"
    if summary["hottest_c"] is not None:
        yield f"at most {summary['hottest_c']:.1f} degrees Celsius"
    if summary["sustained"] is not None:
        yield from _sustained(summary["sustained"])
    if not summary["stable"]:
        yield (
            f"the warm-up never settled in {summary['warm_up_count']} inferences: "
            "no two of its windows agreed within 2 %"
        )
    yield from _disturbances(summary)


def _figures(found: dict[str, Any]) -> str:
    given = [
        f"{quantile} {figure['value']:.3f} [{figure['low']:.3f} {figure['high']:.3f}]"
        for quantile, figure in found.items()
        if figure is not None
    ]
    missing = [quantile for quantile, figure in found.items() if figure is None]
    if missing:
        given.append(f"too few samples for {', '.join(missing)}")
    return ", ".join(given)


def _sustained(found: dict[str, Any]) -> Iterator[str]:
    medians = ", ".join(f"{median:.3f}" for median in found["p50_ms_by_minute"])
    yield f"sustained, median of each minute, ms: {medians}"
    slower = found["slowdown"] >= SLOWER
    yield f"  the last minute took {found['slowdown']:.2f} times the first{' !' if slower else ''}"
    if found["hottest_c"] is not None:
        yield f"  at most {found['hottest_c']:.1f} degrees Celsius"
    if found["slowest_frequency_mhz"] is not None:
        yield (
            f"  frequency {found['median_frequency_mhz']:.0f} MHz, "
            f"at least {found['slowest_frequency_mhz']:.0f}"
        )
    if found["throttled_from_s"] is not None:
        yield (
            f"  slowed down from second {found['throttled_from_s']:.0f} on: "
            f"{', '.join(found['throttled_by'])}"
        )


def _disturbances(summary: dict[str, Any]) -> Iterator[str]:
    runs = summary["runs"]
    for number, reasons in enumerate(runs["disturbances"], start=1):
        if reasons:
            yield f"run {number} was disturbed: {'; '.join(reasons)}"
    if summary["interfered"]:
        yield (
            "other programs disturbed too many runs: these times are not the model's own"
            " (all runs count)"
        )
    elif runs["undisturbed"] < runs["asked"]:
        yield (
            f"{runs['undisturbed']} of {runs['asked']} runs that were asked for were undisturbed "
            f"in {ATTEMPTS_PER_RUN * runs['asked']} attempts, and count"
        )
