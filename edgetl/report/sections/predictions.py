"""The predictions of the candidates in focus, class by class, with their worst errors."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgetl.config.candidate import Candidate
from edgetl.facts.package import PackageFacts
from edgetl.facts.verification import VerificationFacts
from edgetl.report import figures
from edgetl.report.record import VERIFICATION_FILE, Run, shown_row
from edgetl.report.sections import Section
from edgetl.report.templating import render_template
from edgetl.store.store import Artifact
from edgetl.types import Facts

_TEMPLATE = Path(__file__).with_suffix(".html")
_MOST_CONFUSION_CLASSES = 30
_MOST_CONFUSIONS = 20


@dataclass(frozen=True, slots=True)
class _Shown:
    """One candidate that is shown class by class."""

    name: str
    targets: tuple[str, ...]
    """The targets that it was chosen for, or whose most accurate candidate it is."""
    chosen: bool
    facts: VerificationFacts
    details: Facts
    """A table or curves per class, which only the file of the verification holds."""
    picture: str | None
    """The worst errors, as a data URI."""


def _render(run: Run) -> str | None:
    shown = [_with_figures(each, position) for position, each in enumerate(_candidates(run))]
    return render_template(_TEMPLATE, shown=shown) if shown else None


def _candidates(run: Run) -> Iterator[_Shown]:
    """Yield each candidate that a target shows in detail, once."""
    verified = run.verifications()
    packages = [package.read(PackageFacts) for package in run.packages]
    candidates = [shown_row(package).candidate for package in packages]
    for candidate in dict.fromkeys(candidates):
        if candidate not in verified:
            continue
        targets = (
            package.target
            for package, each in zip(packages, candidates, strict=True)
            if each == candidate
        )
        yield _shown(
            candidate,
            verified[candidate],
            targets=tuple(targets),
            chosen=any(package.chosen == candidate for package in packages),
        )


def _shown(
    candidate: Candidate, verification: Artifact, *, targets: tuple[str, ...], chosen: bool
) -> _Shown:
    facts = verification.read(VerificationFacts)
    text = verification.file(VERIFICATION_FILE).read_text(encoding="utf-8")
    picture = facts.worst_errors
    return _Shown(
        name=candidate.name,
        targets=targets,
        chosen=chosen,
        facts=facts,
        details=json.loads(text),
        picture=None if picture is None else _data_uri(verification.file(picture)),
    )


def _with_figures(shown: _Shown, position: int) -> dict[str, object]:
    details = shown.details
    return {
        "candidate": shown,
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
    """Return labelled class, predicted class and count of errors, most frequent first."""
    table = details.get("confusion") or []
    labels = [row["label"] for row in details["classes"]]
    pairs = [
        (labels[true], labels[predicted], count)
        for true, row in enumerate(table)
        for predicted, count in enumerate(row)
        if true != predicted and count
    ]
    return sorted(pairs, key=lambda pair: -pair[2])[:_MOST_CONFUSIONS]


def _data_uri(picture: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode('ascii')}"


SECTION = Section(version=2, title="Predictions", position=50, render=_render)
