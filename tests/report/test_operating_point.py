"""Thresholds and what they give on the test images, in the page, in Markdown and after a run."""

from __future__ import annotations

import re
from typing import Any

import pytest

from edgetl.evaluation.operating import share_facts
from edgetl.facts.operating_point import (
    ClassCounts,
    ClassThreshold,
    OperatingFigures,
    OperatingPointFacts,
)
from edgetl.facts.package import PackageFacts
from edgetl.report.html import page
from edgetl.report.markdown import summary
from edgetl.report.operating_point import operating_point_lines
from edgetl.report.record import Run
from edgetl.store.store import Artifact

_LABEL = '<b onload="x()">bolt</b> & "nut"'
_FIGURES = OperatingFigures(
    classes=(
        ClassCounts(
            label=_LABEL,
            support=4,
            predicted=3,
            right=3,
            recall=share_facts(3, 4),
            precision=share_facts(3, 3),
        ),
        ClassCounts(
            label="Öse", support=4, predicted=0, right=0, recall=share_facts(0, 4), precision=None
        ),
    ),
    decided=share_facts(3, 8),
)


def _point(threshold: float | None) -> OperatingPointFacts:
    return OperatingPointFacts(
        model="student",
        format="onnx",
        precision="int8",
        images=40,
        unit="image",
        classes=(
            ClassThreshold(
                label=_LABEL,
                threshold=threshold,
                figure="precision",
                stated=0.98,
                reached=share_facts(19, 20),
            ),
            ClassThreshold(label="Öse", threshold=0.0),
        ),
    )


def _with_point(classifier: Run, shelf: Any, facts: OperatingPointFacts) -> Run:
    """Return the run with an operating point of onnx int8."""
    verified = classifier.artifacts["verify onnx int8"]
    figures = None if facts.thresholds is None else _FIGURES.model_dump(mode="json")
    changed = {**verified.manifest.facts, "operating": figures}
    manifest = verified.manifest.model_copy(update={"facts": changed})
    shelf.artifacts["verify onnx int8"] = Artifact(verified.folder, manifest)
    shelf.put("operating_point onnx int8", "operating point", facts)
    run: Run = shelf.run()
    return run


def _text(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_page_shows_thresholds_with_figures_and_intervals(classifier: Run, shelf: Any) -> None:
    html = page(_with_point(classifier, shelf, _point(0.71)))
    assert 'onload="x()"' not in html
    text = _text(html[html.index("Predictions below the threshold") :])
    assert text.startswith(
        "Predictions below the threshold of their class do not count: the classifier is unsure."
    )
    assert "Decided on 3 of 8 test images, 0.375 [0.137, 0.694] ; unsure of 5." in text
    assert (
        "precision 0.98 0.710 0.950 [0.764, 0.991] 19 of 20 too few to show it "
        "1.000 [0.439, 1.000] 3 of 3 0.750 [0.301, 0.954] 3 of 4" in text
    )
    assert "Öse nothing 0.000 \u2013 \u2013 0.000 [0.000, 0.490] 0 of 4" in text
    assert "Thresholds are chosen on 40 validation images" in text
    assert 'href="#operating_point"' in html


def test_page_tells_what_no_threshold_reaches(classifier: Run, shelf: Any) -> None:
    text = _text(page(_with_point(classifier, shelf, _point(None))))
    assert "no threshold reaches the precision of 0.98 stated for" in text
    assert "the best on the validation split is 0.950 (19 of 20 predictions)" in text
    assert "not reached" in text


def test_page_without_an_operating_point_has_no_section_of_it(classifier: Run) -> None:
    assert "operating_point" not in page(classifier)
    assert "operating point" not in summary(classifier)


@pytest.mark.parametrize(
    ("judge", "words"),
    [
        ("point", "judged by the value of a figure"),
        ("shown", "judged by the worse end of the 95 % interval of a figure"),
    ],
)
def test_report_states_by_what_limits_are_judged(
    classifier: Run, shelf: Any, judge: str, words: str
) -> None:
    package = classifier.artifacts["package host"]
    facts = {**package.manifest.facts, "judge": judge}
    manifest = package.manifest.model_copy(update={"facts": facts})
    shelf.artifacts["package host"] = Artifact(package.folder, manifest)
    run = shelf.run()
    assert f"drop at most 1 pp; p95 at most 3 ms {words}" in _text(page(run))
    line = next(line for line in summary(run).splitlines() if line.startswith("Limits"))
    assert line.endswith("ms" if judge == "point" else f"({words})")


def test_run_and_markdown_have_a_line_for_each_class(classifier: Run, shelf: Any) -> None:
    run = _with_point(classifier, shelf, _point(0.71))
    packages = [each.read(PackageFacts) for each in run.packages]
    lines = list(operating_point_lines(packages, run.artifacts.values()))
    first, bolt, other = lines
    assert first == (
        "operating point of onnx int8 on 8 test images: unsure of 5, decided 0.375 [0.137, 0.694]"
    )
    assert bolt == (
        f"  {_LABEL} from 0.710, precision 0.98 stated: precision 1.000 [0.439, 1.000] of 3, "
        "recall 0.750 [0.301, 0.954] of 4"
    )
    assert other == "  Öse from 0.000: precision not measured, recall 0.000 [0.000, 0.490] of 4"
    assert "- Öse from 0.000: precision not measured, recall 0.000 " in summary(run)


def test_run_names_few_of_many_classes(classifier: Run, shelf: Any) -> None:
    facts = _point(0.71)
    counts = _FIGURES.classes
    many = facts.model_copy(update={"classes": facts.classes * 5})
    run = _with_point(classifier, shelf, many)
    verified = run.artifacts["verify onnx int8"]
    figures = OperatingFigures(classes=counts * 5, decided=None).model_dump(mode="json")
    manifest = verified.manifest.model_copy(
        update={"facts": {**verified.manifest.facts, "operating": figures}}
    )
    shelf.artifacts["verify onnx int8"] = Artifact(verified.folder, manifest)
    packages = [each.read(PackageFacts) for each in run.packages]
    lines = list(operating_point_lines(packages, shelf.run().artifacts.values()))
    assert lines[0] == "operating point of onnx int8 on 8 test images"
    assert lines[-1] == "  and 2 more classes, in 'edgetl report'"
    assert len(lines) == 10
