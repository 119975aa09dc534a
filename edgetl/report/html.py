"""A finished run as one HTML file that needs nothing else: no network, no script, no font."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from edgetl import __version__
from edgetl.config.candidate import Candidate, ModelFile
from edgetl.facts.dataset import DatasetFacts
from edgetl.facts.latency import LatencyFacts
from edgetl.facts.model_files import QuantizationFacts
from edgetl.facts.package import PackageFacts, Part
from edgetl.facts.training import TrainingFacts
from edgetl.facts.verification import VerificationFacts
from edgetl.report import figures
from edgetl.report.formatting import FILTERS
from edgetl.report.record import (
    VERIFICATION_FILE,
    Run,
    hosts_of,
    reason_of,
    seeds_of,
    shown_row,
)
from edgetl.store.store import Artifact
from edgetl.types import Fact, Facts, Role

Verified: TypeAlias = Mapping[Candidate, tuple[Artifact, VerificationFacts]]
"""The verification of each candidate."""

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
    facts: VerificationFacts
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
    packages = [package.read(PackageFacts) for package in run.packages]
    verified = {
        key: (artifact, artifact.read(VerificationFacts))
        for key, artifact in run.verifications().items()
    }
    return environment.get_template("report.html").render(
        run=run,
        version=__version__,
        dataset=_labelled(run),
        made_at=max(each.manifest.made_at for each in run.artifacts.values()),
        targets=[_target(run, package, i) for i, package in enumerate(run.packages)],
        trained=_trained(run),
        comparison=run.comparison,
        training_figures=figures.training(run),
        # Candidates that differ in their provider share the file, and so the ladder.
        ladders={facts.file.name: facts for _, facts in verified.values()},
        closer=[_with_figures(each, i) for i, each in enumerate(_closer(verified, packages))],
        quantized=[_quantized(each) for each in run.of_kind("quantized")],
        hosts=hosts_of(run),
        seeds=seeds_of(run),
        recipe=_yaml(run.recipe),
        lineage=[_lineage(label, each) for label, each in run.artifacts.items()],
    )


def _labelled(run: Run) -> DatasetFacts | None:
    datasets = (each.read(DatasetFacts) for each in run.of_kind("dataset"))
    return next((dataset for dataset in datasets if dataset.role is Role.DATA), None)


def _target(run: Run, package: Artifact, position: int) -> Facts:
    facts = package.read(PackageFacts)
    row = shown_row(facts)
    latency = run.part(package, row.candidate, Part.LATENCY)
    verification = run.part(package, row.candidate, Part.VERIFICATION)
    return {
        "facts": facts,
        "reason": reason_of(facts),
        "limits": facts.limits.in_words(),
        "row": row,
        "latency": None if latency is None else latency.read(LatencyFacts),
        "verification": None if verification is None else verification.read(VerificationFacts),
        "tradeoff": figures.candidates(run, package, f"tradeoff-{position}"),
        "histograms": figures.latencies(run, package, f"latency-{position}"),
        "timings": list(_timings(run, package, facts)),
    }


def _timings(
    run: Run, package: Artifact, facts: PackageFacts
) -> Iterator[tuple[str, LatencyFacts]]:
    """Yield each candidate that was timed for the target of `package`, and the facts of that."""
    for row in facts.rows:
        latency = run.part(package, row.candidate, Part.LATENCY)
        if latency is not None:
            yield row.candidate.name, latency.read(LatencyFacts)


def _trained(run: Run) -> list[Facts]:
    return [
        {
            "role": role,
            "facts": artifact.read(TrainingFacts),
            "seconds": artifact.manifest.seconds,
        }
        for role, artifact in run.trained.items()
    ]


def _closer(verified: Verified, packages: Sequence[PackageFacts]) -> list[Closer]:
    """Return each candidate that some target shows, once."""
    shown = [shown_row(package).candidate for package in packages]
    closer: list[Closer] = []
    for candidate in dict.fromkeys(shown):
        if candidate not in verified:
            continue
        artifact, facts = verified[candidate]
        text = artifact.file(VERIFICATION_FILE).read_text(encoding="utf-8")
        picture = facts.worst_errors
        targets = (
            package.target
            for package, each in zip(packages, shown, strict=True)
            if each == candidate
        )
        closer.append(
            Closer(
                name=candidate.name,
                targets=tuple(targets),
                chosen=any(package.chosen == candidate for package in packages),
                facts=facts,
                details=json.loads(text),
                picture=None if picture is None else _data_uri(artifact.file(picture)),
            )
        )
    return closer


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
    facts, settings = artifact.read(QuantizationFacts), artifact.manifest.settings
    kept = (settings.get("int8") or {}).get("float_layers", {}).get("convolutions", 0)
    return {
        "name": ModelFile(facts.model, facts.format, facts.precision).name,
        "facts": facts,
        "operations": [(row, position < kept) for position, row in enumerate(facts.convolutions)],
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
