"""The times of every candidate, how they were taken, and on which machines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgetl.facts.latency import LatencyFacts
from edgetl.facts.package import PackageFacts
from edgetl.report import figures
from edgetl.report.record import Run, hosts_of
from edgetl.report.sections import Section
from edgetl.report.templating import render_template
from edgetl.store.store import Artifact

_TEMPLATE = Path(__file__).with_suffix(".html")


def _render(run: Run) -> str | None:
    if not run.packages:
        return None
    targets = [
        {
            "facts": package.read(PackageFacts),
            "histograms": figures.latencies(run, package, f"latency-{position}"),
            "timings": list(_timings(run, package)),
        }
        for position, package in enumerate(run.packages)
    ]
    return render_template(_TEMPLATE, targets=targets, hosts=hosts_of(run))


def _timings(run: Run, package: Artifact) -> Iterator[tuple[str, LatencyFacts]]:
    """Yield each candidate that was timed for the target of `package`, with its facts."""
    for row in package.read(PackageFacts).rows:
        latency = run.latency(package, row.candidate)
        if latency is not None:
            yield row.candidate.name, latency


SECTION = Section(version=3, title="Latency", position=60, render=_render)
