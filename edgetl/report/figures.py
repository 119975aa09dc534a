"""The figures of a run: facts from its artifacts, drawn by `edgetl.report.plots`."""

from __future__ import annotations

from pathlib import Path

from edgetl.config.limits import LIMITS
from edgetl.facts.latency import BenchmarkFacts, latency_file
from edgetl.facts.package import CandidateRow, PackageFacts, Part
from edgetl.facts.verification import VerificationFacts
from edgetl.report import plots
from edgetl.report.plots import Figure, Limit, Point
from edgetl.report.record import Epochs, Run, epochs_of, model_facts
from edgetl.runtime.latency import load_latency
from edgetl.runtime.quantiles import NS_PER_MS
from edgetl.store.store import Artifact
from edgetl.types import MIB, Facts


def candidates(run: Run, package: Artifact, name: str) -> Figure:
    """Return accuracy against latency of a target's candidates; against size if none was timed."""
    facts = package.read(PackageFacts)
    rows = [row for row in facts.rows if row.p95_ms is not None] or list(facts.rows)
    cost = "p95_ms" if rows[0].p95_ms is not None else "size_mib"
    limit, bound = LIMITS[cost], facts.limits.bound(cost)
    figure = plots.tradeoff(
        name,
        [_point(row, cost, chosen=row.candidate == facts.chosen) for row in rows],
        cost="p95 latency, ms" if cost == "p95_ms" else "size, MiB",
        metric=rows[0].title,
        cost_limit=None if bound is None else Limit(bound, limit.required(bound)),
        metric_limits=_metric_limits(run, package, facts),
    )
    dropped = [row.candidate.name for row in facts.rows if row not in rows]
    if not dropped:
        return figure
    caption = f"{figure.caption} Not timed, so not drawn: {', '.join(dropped)}."
    return Figure(figure.svg, caption, figure.legend)


def training(run: Run) -> list[Figure]:
    """Return metric and losses by epoch of every torch model that kept them."""
    epochs = {role: epochs_of(artifact) for role, artifact in run.trained.items()}
    known = {role: each for role, each in epochs.items() if each is not None}
    scores = (model_facts(each).test for each in run.trained.values())
    metric = next((score.title for score in scores if score is not None), "metric")
    phases = "; ".join(
        f"{role}: {', then '.join(f'{count} {phase}' for phase, count in each.phases)} epochs"
        for role, each in known.items()
        if len(each.phases) > 1
    )
    distilled = "A student's loss contains the teacher's terms, so levels do not compare."
    drawn = [
        _by_epoch("metric", f"Validation {metric}", known, "val_metric", phases),
        _by_epoch("val-loss", "Validation loss", known, "val_loss", ""),
        _by_epoch("train-loss", "Training loss", known, "train_loss", distilled),
    ]
    return [figure for figure in drawn if figure is not None]


def precision_recall(details: Facts, name: str) -> Figure | None:
    """Return precision by recall of the classes found worst; None if no curve was kept."""
    kept = details.get("curves")
    if kept is None:
        return None
    # A class without objects has no curve.
    known = [row for row in details["classes"] if row["ap"] is not None]
    order = [row["label"] for row in sorted(known, key=lambda row: row["ap"])]
    drawn = sorted(order[: plots.NUM_CURVES])
    caption = "Boxes that overlap by half count."
    if len(drawn) < len(order):
        caption += f" The {len(drawn)} worst of {len(order)} classes."
    series = {
        label: list(zip(kept["recall"], kept["precision"][label], strict=True)) for label in drawn
    }
    return plots.curves(
        name,
        "Precision by recall",
        series,
        x="recall",
        y="precision",
        whole=True,
        caption=caption,
    )


def latencies(run: Run, package: Artifact, name: str) -> list[Figure]:
    """Return a histogram of the single times of every candidate that was timed."""
    timed = run.timed(package)
    if timed is None:
        return []
    histograms: list[Figure] = []
    for position, row in enumerate(package.read(PackageFacts).rows):
        facts = timed.read(BenchmarkFacts).of(row.candidate)
        quantiles = {"p50": facts.p50, "p95": facts.p95}
        marks = {key: each.value for key, each in quantiles.items() if each is not None}
        title = row.candidate.name
        if not facts.measured:
            title = f"{title} ({facts.provenance})"
        samples_ms = _samples_ms(timed.file(latency_file(row.candidate)))
        histograms.append(plots.histogram(f"{name}-{position}", title, samples_ms, marks))
    return histograms


def _samples_ms(file: Path) -> list[float]:
    """Return the single times that the figures are computed from, of the model alone."""
    counted = load_latency(file).counted
    return [sample / NS_PER_MS for run in counted for sample in run.model_ns]


def _point(row: CandidateRow, cost: str, *, chosen: bool) -> Point:
    size_mib = row.size_bytes / MIB
    times = (row.p95_ms, row.p95_low_ms, row.p95_high_ms)
    p95_ms, low_ms, high_ms = (0.0 if time is None else time for time in times)
    return Point(
        name=row.candidate.name,
        format=row.candidate.format,
        precision=row.candidate.precision.value,
        cost=(p95_ms, low_ms, high_ms) if cost == "p95_ms" else (size_mib, size_mib, size_mib),
        value=(row.value, row.low, row.high),
        verdict=row.verdict.value,
        chosen=chosen,
    )


def _metric_limits(run: Run, package: Artifact, facts: PackageFacts) -> list[Limit]:
    row, limits = facts.rows[0], facts.limits
    drawn: list[Limit] = []
    least = limits.bound(row.metric) if row.metric in LIMITS else None
    if least is not None:
        drawn.append(Limit(least, LIMITS[row.metric].required(least)))
    verification = run.part(package, row.candidate, Part.VERIFICATION)
    if limits.drop_pp is not None and verification is not None:
        trained = verification.read(VerificationFacts).drop.value
        drop = limits.drop_pp
        drawn.append(Limit(trained - drop / 100, limits.in_words()["drop_pp"]))
    return drawn


def _by_epoch(
    name: str, title: str, known: dict[str, Epochs], column: str, caption: str
) -> Figure | None:
    series = {
        role: [(float(i + 1), value) for i, value in enumerate(getattr(each, column))]
        for role, each in known.items()
    }
    return plots.curves(f"training-{name}", title, series, x="epoch", y=title, caption=caption)
