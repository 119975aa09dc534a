"""Which figures a run has: facts picked from its artifacts, drawn by `edgetl.report.plots`."""

from __future__ import annotations

from edgetl.report import plots
from edgetl.report.plots import Figure, Limit, Point
from edgetl.report.record import LATENCY_FILE, Epochs, Run, epochs_of
from edgetl.runtime.latency import load_latency
from edgetl.runtime.quantiles import NS_PER_MS
from edgetl.store.store import Artifact
from edgetl.types import Facts, Provenance

_MIB = 2**20


def candidates(run: Run, package: Artifact, name: str) -> Figure:
    """Return accuracy against latency of a target's candidates; against size if none was timed."""
    facts = package.facts
    rows = [row for row in facts["rows"] if row["p95_ms"] is not None]
    timed = bool(rows)
    if not timed:
        rows = facts["rows"]
    limit = facts["limits"].get("p95_ms" if timed else "size_mib")
    unit = "ms" if timed else "MiB"
    figure = plots.tradeoff(
        name,
        [_point(row, timed=timed, chosen=row["candidate"] == facts["chosen"]) for row in rows],
        cost="p95 latency, ms" if timed else "size, MiB",
        metric=rows[0]["title"],
        cost_limit=None if limit is None else Limit(limit, f"at most {limit:g} {unit}"),
        metric_limits=_metric_limits(run, package),
    )
    dropped = [row["candidate"] for row in facts["rows"] if row not in rows]
    if not dropped:
        return figure
    caption = f"{figure.caption} Not timed, so not drawn: {', '.join(dropped)}."
    return Figure(figure.svg, caption, figure.legend)


def training(run: Run) -> list[Figure]:
    """Return metric and losses by epoch of every torch model that kept them."""
    epochs = {role: epochs_of(artifact) for role, artifact in run.trained.items()}
    known = {role: each for role, each in epochs.items() if each is not None}
    metric = next((each.facts["test"]["title"] for each in run.trained.values()), "metric")
    phases = "; ".join(
        f"{role}: {', then '.join(f'{count} {phase}' for phase, count in each.phases)} epochs"
        for role, each in known.items()
        if len(each.phases) > 1
    )
    distilled = "A student's loss contains the teacher's terms, so levels do not compare."
    found = [
        _by_epoch("metric", f"Validation {metric}", known, "val_metric", phases),
        _by_epoch("val-loss", "Validation loss", known, "val_loss", ""),
        _by_epoch("train-loss", "Training loss", known, "train_loss", distilled),
    ]
    return [figure for figure in found if figure is not None]


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
    found: list[Figure] = []
    for position, row in enumerate(package.facts["rows"]):
        latency = run.part(package, row["candidate"], "latency")
        if latency is None:
            continue
        marks = {
            quantile: latency.facts["model_ms"][quantile]["value"]
            for quantile in ("p50", "p95")
            if latency.facts["model_ms"][quantile] is not None
        }
        title, provenance = row["candidate"], latency.facts["provenance"]
        if provenance != Provenance.MEASURED:
            title = f"{title} ({provenance})"
        found.append(plots.histogram(f"{name}-{position}", title, _samples_ms(latency), marks))
    return found


def _samples_ms(latency: Artifact) -> list[float]:
    """Return the single times that the figures come from, of the model alone."""
    counted = load_latency(latency.file(LATENCY_FILE)).counted
    return [sample / NS_PER_MS for run in counted for sample in run.model_ns]


def _point(row: Facts, *, timed: bool, chosen: bool) -> Point:
    size_mib = row["size_bytes"] / _MIB
    return Point(
        name=row["candidate"],
        format=row["format"],
        precision=row["precision"],
        cost=(row["p95_ms"], row["p95_low_ms"], row["p95_high_ms"])
        if timed
        else (size_mib, size_mib, size_mib),
        value=(row["value"], row["low"], row["high"]),
        verdict=row["verdict"],
        chosen=chosen,
    )


def _metric_limits(run: Run, package: Artifact) -> list[Limit]:
    limits, row = package.facts["limits"], package.facts["rows"][0]
    found: list[Limit] = []
    least = limits.get(row["metric"])
    if least is not None:
        found.append(Limit(least, f"at least {least:g}"))
    verification = run.part(package, row["candidate"], "verification")
    if limits.get("drop_pp") is not None and verification is not None:
        trained = verification.facts["drop"]["value"]
        drop = limits["drop_pp"]
        found.append(Limit(trained - drop / 100, f"drop at most {drop:g} pp"))
    return found


def _by_epoch(
    name: str, title: str, known: dict[str, Epochs], column: str, caption: str
) -> Figure | None:
    series = {
        role: [(float(i + 1), value) for i, value in enumerate(getattr(each, column))]
        for role, each in known.items()
    }
    return plots.curves(f"training-{name}", title, series, x="epoch", y=title, caption=caption)
