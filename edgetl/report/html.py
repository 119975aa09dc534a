"""A finished run as one HTML file that needs nothing else: no network, no script, no font."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgetl import __version__
from edgetl.report import figures
from edgetl.report.formatting import FILTERS
from edgetl.report.record import (
    VERIFICATION_FILE,
    Run,
    hosts_of,
    limits_of,
    reason_of,
    seeds_of,
    shown_candidate,
)
from edgetl.store.store import Artifact
from edgetl.types import Fact, Facts

_TEMPLATES = Path(__file__).parent / "templates"
_MOST_CONFUSION_CLASSES = 30
_MOST_CONFUSIONS = 20


@dataclass(frozen=True, slots=True)
class Closer:
    """One candidate that is looked at class by class."""

    name: str
    targets: tuple[str, ...]
    """Those that it was chosen for, or whose most accurate one it is."""
    chosen: bool
    facts: Facts
    details: Facts
    """What only the file of the verification keeps: a table or curves per class."""
    picture: str | None
    """The worst answers, as a data URI."""


def page(run: Run) -> str:
    """Return the report of `run`; the same run gives the same text."""
    # Only a report needs it.
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= FILTERS
    packages = [package.facts for package in run.packages]
    return environment.get_template("report.html").render(
        run=run,
        version=__version__,
        dataset=next((each.facts for each in run.of_kind("dataset")), {}),
        made_at=max(each.manifest.made_at for each in run.artifacts.values()),
        targets=[_target(run, package, i) for i, package in enumerate(run.packages)],
        trained=_trained(run),
        comparison=run.comparison,
        training_figures=figures.training(run),
        # Candidates that differ in their provider share the file, and so the ladder.
        ladders={
            each.manifest.label.removeprefix("verify "): each.facts
            for each in run.candidates().values()
        },
        closer=[_with_figures(each, i) for i, each in enumerate(_closer(run, packages))],
        quantized=[_quantized(each) for each in run.of_kind("quantized")],
        hosts=hosts_of(run),
        seeds=seeds_of(run),
        recipe=_yaml(run.recipe),
        lineage=[_lineage(label, each) for label, each in run.artifacts.items()],
    )


def _target(run: Run, package: Artifact, position: int) -> Facts:
    facts = package.facts
    name = shown_candidate(facts)
    latency = run.part(package, name, "latency")
    verification = run.part(package, name, "verification")
    return {
        "facts": facts,
        "reason": reason_of(facts),
        "limits": limits_of(facts),
        "row": next(row for row in facts["rows"] if row["candidate"] == name),
        "latency": None if latency is None else latency.facts,
        "verification": None if verification is None else verification.facts,
        "tradeoff": figures.candidates(run, package, f"tradeoff-{position}"),
        "histograms": figures.latencies(run, package, f"latency-{position}"),
        "timings": list(_timings(run, package)),
    }


def _timings(run: Run, package: Artifact) -> Iterator[tuple[str, Facts]]:
    """Yield each candidate that was timed for the target of `package`, and the facts of that."""
    for row in package.facts["rows"]:
        latency = run.part(package, row["candidate"], "latency")
        if latency is not None:
            yield row["candidate"], latency.facts


def _trained(run: Run) -> list[Facts]:
    return [
        {"role": role, "facts": artifact.facts, "seconds": artifact.manifest.seconds}
        for role, artifact in run.trained.items()
    ]


def _closer(run: Run, packages: Sequence[Facts]) -> list[Closer]:
    """Return each candidate that some target shows, once."""
    candidates = run.candidates()
    found: list[Closer] = []
    for name in dict.fromkeys(shown_candidate(package) for package in packages):
        verification = candidates.get(name)
        if verification is None:
            continue
        text = verification.file(VERIFICATION_FILE).read_text(encoding="utf-8")
        picture = verification.facts["worst_errors"]
        found.append(
            Closer(
                name=name,
                targets=tuple(each["target"] for each in packages if shown_candidate(each) == name),
                chosen=any(package["chosen"] == name for package in packages),
                facts=verification.facts,
                details=json.loads(text),
                picture=None if picture is None else _data_uri(verification.file(picture)),
            )
        )
    return found


def _with_figures(closer: Closer, position: int) -> Facts:
    details = closer.details
    return {
        "candidate": closer,
        "curves": figures.precision_recall(details, f"recall-{position}"),
        "classes": details["classes"],
        "confusion": _confusion(details),
        "confusions": _confusions(details),
    }


def _confusion(details: Facts) -> list[list[tuple[int, float]]] | None:
    """Return counts and their shares of the row; None without a table, or if it is too large."""
    table = details.get("confusion")
    if table is None or len(table) > _MOST_CONFUSION_CLASSES:
        return None
    return [[(count, count / max(sum(row), 1)) for count in row] for row in table]


def _confusions(details: Facts) -> list[tuple[str, str, int]]:
    """Return which class was taken for which other one and how often, most often first."""
    table = details.get("confusion") or []
    labels = [row["label"] for row in details["classes"]]
    pairs = [
        (labels[true], labels[taken], count)
        for true, row in enumerate(table)
        for taken, count in enumerate(row)
        if true != taken and count
    ]
    return sorted(pairs, key=lambda pair: -pair[2])[:_MOST_CONFUSIONS]


def _quantized(artifact: Artifact) -> Facts:
    facts, settings = artifact.facts, artifact.manifest.settings
    kept = (settings.get("int8") or {}).get("float_layers", {}).get("convolutions", 0)
    operations = [
        {**row, "kept": position < kept}
        for position, row in enumerate(facts.get("convolutions", ()))
    ]
    return {
        "name": artifact.manifest.label.partition(" ")[2],
        "facts": facts,
        "operations": operations,
        "estimators": facts.get("estimators", ()),
    }


def _lineage(label: str, artifact: Artifact) -> Facts:
    manifest = artifact.manifest
    return {
        "label": label,
        "manifest": manifest,
        "settings": _yaml(manifest.settings),
        "files": manifest.files,
    }


def _yaml(value: Mapping[str, Fact]) -> str:
    import yaml

    return yaml.safe_dump(
        dict(value), sort_keys=False, allow_unicode=True, default_flow_style=None, width=88
    )


def _data_uri(picture: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode('ascii')}"
