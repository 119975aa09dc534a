"""Format a latency as text for a terminal or a log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from edgetl.runtime.paired import ratio
from edgetl.runtime.sustained import SLOWER
from edgetl.runtime.timing_plan import ATTEMPTS_PER_RUN
from edgetl.runtime.turns import rounds_of

if TYPE_CHECKING:
    from edgetl.runtime.latency import Latency

_PARTS = (
    ("model", "model_ms"),
    ("preprocessing", "pre_ms"),
    ("postprocessing", "post_ms"),
    ("end to end", "end_to_end_ms"),
)


def latency_lines(latency: Latency) -> Iterator[str]:
    """Yield the lines of text that describe `latency`, caveats last."""
    summary = latency.summary()
    engine = f"{latency.engine} on {latency.provider}"
    yield f"{engine}, {latency.threads} thread(s), {latency.host['processor']}"
    yield f"load {summary['load_ms']:.1f} ms, first {summary['first_ms']:.2f} ms"
    runs = summary["runs"]
    medians = ", ".join(f"{median:.3f}" for median in runs["p50_ms"])
    yield f"{runs['taken']} runs, medians {medians} ms; {summary['count']} inferences counted"
    for name, key in _PARTS:
        yield f"{name}, ms: {_figures(summary[key])}"
    peak = latency.peak_memory_bytes
    yield f"peak memory {'unknown' if peak is None else f'{peak / 2**20:.0f} MiB'}"
    energy_j = summary["energy_j"]
    if energy_j is not None:
        yield f"energy {1000 * energy_j:.2f} mJ per inference, including idle power"
    if summary["hottest_c"] is not None:
        yield f"peak temperature {summary['hottest_c']:.1f} degrees Celsius"
    if summary["sustained"] is not None:
        yield from _sustained(summary["sustained"])
    if not summary["stable"]:
        yield (
            f"the warm-up did not settle in {summary['warm_up_count']} inferences: "
            "no two successive windows agreed within 2 %"
        )
    yield from _disturbances(summary)


def comparison_lines(latencies: Mapping[str, Latency]) -> Iterator[str]:
    """Yield one line per model that was timed in turns, the fastest first, then what that says.

    Args:
        latencies: By name; see `edgetl.runtime.turns.time_in_turns`.
    """
    rounds = {name: rounds_of(latency) for name, latency in latencies.items()}
    order = sorted(latencies, key=lambda name: rounds[name].typical)
    width = max(len(name) for name in order)
    for name in order:
        summary = latencies[name].summary()
        p50, p95 = (_short(summary["model_ms"][each]) for each in ("p50", "p95"))
        text = f"{name:<{width}}  p50 {p50}, p95 {p95} ms, {summary['runs']['taken']} rounds"
        yield text + ("; disturbed by other programs" if summary["interfered"] else "")
    for name in order[1:]:
        compared = ratio(rounds[name], rounds[order[0]])
        interval = f"{compared.value:.2f} [{compared.low:.2f} {compared.high:.2f}]"
        if compared.significant:
            yield f"{name} takes {interval} times as long as {order[0]}"
        else:
            yield f"{name} and {order[0]} do not differ significantly: {interval} times as long"


def _short(figure: dict[str, float] | None) -> str:
    return "unknown" if figure is None else f"{figure['value']:.3f}"


def _figures(quantiles: dict[str, Any]) -> str:
    texts = [
        f"{quantile} {figure['value']:.3f} [{figure['low']:.3f} {figure['high']:.3f}]"
        for quantile, figure in quantiles.items()
        if figure is not None
    ]
    missing = [quantile for quantile, figure in quantiles.items() if figure is None]
    if missing:
        texts.append(f"too few samples for {', '.join(missing)}")
    return ", ".join(texts)


def _sustained(summary: dict[str, Any]) -> Iterator[str]:
    medians = ", ".join(f"{median:.3f}" for median in summary["p50_ms_by_minute"])
    yield f"sustained, median per minute, ms: {medians}"
    ratio = summary["slowdown"]
    yield f"  the last minute took {ratio:.2f} times as long as the first" + (
        " !" if ratio >= SLOWER else ""
    )
    if summary["hottest_c"] is not None:
        yield f"  peak temperature {summary['hottest_c']:.1f} degrees Celsius"
    if summary["slowest_frequency_mhz"] is not None:
        yield (
            f"  median frequency {summary['median_frequency_mhz']:.0f} MHz, "
            f"lowest {summary['slowest_frequency_mhz']:.0f} MHz"
        )
    if summary["throttled_from_s"] is not None:
        yield (
            f"  throttled from second {summary['throttled_from_s']:.0f} on: "
            f"{', '.join(summary['throttled_by'])}"
        )


def _disturbances(summary: dict[str, Any]) -> Iterator[str]:
    runs = summary["runs"]
    for number, reasons in enumerate(runs["disturbances"], start=1):
        if reasons:
            yield f"run {number} was disturbed: {'; '.join(reasons)}"
    if summary["interfered"]:
        yield (
            "too many runs were disturbed: the times are not those of the model alone"
            " (all runs counted)"
        )
    elif runs["undisturbed"] < runs["asked"]:
        yield (
            f"only {runs['undisturbed']} of the {runs['asked']} requested runs were undisturbed "
            f"in {ATTEMPTS_PER_RUN * runs['asked']} attempts; only these count"
        )
