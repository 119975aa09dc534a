"""The page is whole, needs nothing else, and says what the facts say."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from edgetl.errors import PluginError
from edgetl.facts.latency import BenchmarkFacts
from edgetl.facts.package import Part
from edgetl.report.html import page
from edgetl.report.record import Run
from edgetl.types import Provenance

BOLD = '<b onload="x()">bolt</b> & "nut"'
_EMPTY = {"meta", "link", "img", "br"}


class _Page(HTMLParser):
    """Elements with their attributes, tables as text, and whether every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.tables: list[list[list[str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _EMPTY:
            self._open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        self.text += data
        if {"td", "th"} & set(self._open):
            self.tables[-1][-1][-1] += " ".join(data.split())

    def values(self, attribute: str) -> list[str]:
        return [attrs[attribute] for _, attrs in self.elements if attribute in attrs]

    def words(self) -> str:
        return " ".join(self.text.split())


@pytest.fixture
def classified(classifier: Run) -> _Page:
    return _Page(page(classifier))


def test_page_loads_nothing_and_runs_nothing(classified: _Page) -> None:
    tags = {tag for tag, _ in classified.elements}
    assert not tags & {"script", "iframe", "object", "embed", "base", "form"}
    places = classified.values("src") + classified.values("href")
    assert all(place.startswith(("data:", "#")) for place in places)
    assert not [
        attribute
        for _, attrs in classified.elements
        for attribute in attrs
        if attribute.startswith("on")
    ]
    rules = [attrs for tag, attrs in classified.elements if tag == "meta"]
    assert any(attrs.get("content", "").startswith("default-src 'none'") for attrs in rules)


def test_style_loads_nothing(classifier: Run) -> None:
    text = page(classifier)
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_page_can_be_read_aloud(classified: _Page) -> None:
    names = classified.values("id")
    assert len(names) == len(set(names))
    assert set(" ".join(classified.values("aria-labelledby")).split()) <= set(names)
    assert {place[1:] for place in classified.values("href") if place.startswith("#")} <= set(names)
    for tag, attrs in classified.elements:
        if tag == "img":
            assert attrs["alt"]
        if tag == "svg":
            assert attrs.get("role") == "img" or attrs["aria-hidden"] == "true"
        if tag == "th":
            assert attrs["scope"] in {"col", "row", "rowgroup"}


def test_names_from_the_data_are_shown_and_never_obeyed(classified: _Page) -> None:
    assert "b" not in {tag for tag, _ in classified.elements}
    assert BOLD in classified.text
    assert "A <fast> one" in classified.text


def test_names_in_curves_are_shown_and_never_obeyed(shelf_page: _Page) -> None:
    assert "b" not in {tag for tag, _ in shelf_page.elements}


@pytest.fixture
def shelf_page(detector: Run) -> _Page:
    return _Page(page(detector))


def test_headline_says_verdict_candidate_reason_and_where_figures_come_from(
    classified: _Page,
) -> None:
    words = classified.words()
    assert "held: onnx int8, fastest within limits" in words
    assert "measured on 8 test images, by onnxruntime 1.31" in words
    assert "measured on local (A <fast> one, 2 cores), 1 thread" in words
    assert "better than guessing; drop at most 1 pp; p95 at most 3 ms" in words


def test_target_without_device_says_not_measured(classified: _Page) -> None:
    words = classified.words()
    start = words.index("Target rpi4")
    card = words[start : words.index("Candidates for rpi4")]
    assert "unverified" in card
    assert "no device; smallest of them" in card
    assert card.count("not measured no device") == 2
    assert "Not measured: no device." in words


def _timed_with(run: Run, **changes: object) -> Run:
    """Return the run with other facts of every timing."""
    timing = run.artifacts["benchmark local x1"]
    facts = timing.read(BenchmarkFacts)
    changed = [
        each.model_copy(update={"latency": each.latency.model_copy(update=changes)})
        for each in facts.candidates
    ]
    as_json = facts.model_copy(update={"candidates": tuple(changed)}).model_dump(mode="json")
    manifest = timing.manifest.model_copy(update={"facts": as_json})
    other = {"benchmark local x1": dataclasses.replace(timing, manifest=manifest)}
    return dataclasses.replace(run, artifacts={**run.artifacts, **other})


def test_emulated_times_are_never_shown_as_measured(classifier: Run) -> None:
    run = _timed_with(classifier, provenance=Provenance.EMULATED)
    words = _Page(page(run)).words()
    assert "emulated on local" in words
    assert "onnx int8 (emulated): 3 inferences" in words
    assert "measured on local" not in words


def test_target_that_was_missed_shows_the_most_accurate_candidate(shelf_page: _Page) -> None:
    words = shelf_page.words()
    assert "no candidate meets map; nearest is onnx fp32: mAP 0.5 < 0.9" in words
    assert "No candidate was chosen." in words
    assert "onnx fp32, the most accurate for host" in words
    assert "No test image was predicted wrongly." in words


def test_accuracy_is_shown_by_the_size_of_objects(shelf_page: _Page) -> None:
    words = shelf_page.words()
    start = words.index("mAP by the size of the object on the image: small up to 32")
    assert "all 0.500 small 0.125 medium 0.750 large \N{EN DASH}" in words[start:]


def test_classifier_has_no_sizes_of_objects(classified: _Page) -> None:
    assert "by the size of the object" not in classified.words()


def test_images_that_the_contract_cuts_off_are_told(shelf_page: _Page) -> None:
    told = "2 of 8 test images have up to 9 objects, more than are answered"
    assert told in shelf_page.words()


def test_table_has_every_candidate_with_intervals_verdict_and_reason(classified: _Page) -> None:
    head, first, second = classified.tables[0]
    assert head == [
        "candidate", "verdict", "top-1", "drop, pp", "p95, ms", "size, MiB", "memory, MiB", "why",
    ]  # fmt: skip
    assert first == [
        "onnx int8", "✓chosen", "0.875[0.700, 0.950]", "0.5[-0.2, 1.0]", "2.00[1.90, 2.10]",
        "1.00", "50.0", "fastest within limits",
    ]  # fmt: skip
    assert second[1] == "✗rejected"
    assert second[-1] == "drop 14.2 > 1 pp; parity breaks at tflite fp32 to tflite int8"


def test_student_is_compared_with_its_control(classified: _Page) -> None:
    words = classified.words()
    assert (
        "The student trained with its teacher is 8.0 pp [1.5, 14.0] better than the control"
        in words
    )
    assert "teacher: 1 probe, then 2 full epochs" in words


def test_table_says_how_times_were_taken(classified: _Page) -> None:
    table = next(table for table in classified.tables if "warm-up" in table[0])
    pause = "2 min, at the end 1.07 times as long; under-voltage"
    assert table[0][1] == "turns"
    assert table[1:] == [
        [name, "9", "9", "never settled", "61", "unknown", pause]
        for name in ("onnx int8", "tflite int8")
    ]


def test_unknown_temperature_is_shown_as_unknown(classifier: Run) -> None:
    run = _timed_with(classifier, hottest_c=None)
    table = next(table for table in _Page(page(run)).tables if "warm-up" in table[0])
    assert table[1][4] == "unknown"


def test_step_that_breaks_is_named(classified: _Page) -> None:
    assert "tflite int8 breaks at tflite fp32 to tflite int8." in classified.words()
    ladder = next(table for table in classified.tables if table[0][1:2] == ["step"])
    assert ladder[1] == [
        "onnx int8", "torch to onnx fp32", "90.0", "5", "75.0 %", "0.012", "8", "yes",
    ]  # fmt: skip
    assert ladder[2][-1] == "breaks"


def test_confusions_are_counted_by_label_and_prediction(classified: _Page) -> None:
    table = next(table for table in classified.tables if table[0] == ["", BOLD, "Öse"])
    assert table[1:] == [[BOLD, "3", "1"], ["Öse", "0", "4"]]
    assert classified.values("style")[:4] == [
        "--share: 0.750", "--share: 0.250", "--share: 0.000", "--share: 1.000",
    ]  # fmt: skip
    assert [["label", "prediction", "images"], [BOLD, "Öse", "1"]] in classified.tables


def test_detector_has_figures_and_a_curve_per_class(shelf_page: _Page) -> None:
    assert [
        ["class", "support", "AP", "AP50", "recall"],
        ["nut", "3", "0.500", "0.750", "1.000"],
        [BOLD, "0", *3 * ["\N{EN DASH}"]],
    ] in shelf_page.tables
    assert "nut ends at 0.25" in shelf_page.text


def test_worst_errors_are_in_the_page(classified: _Page) -> None:
    pictures = [attrs for tag, attrs in classified.elements if tag == "img"]
    assert len(pictures) == 2  # the candidates of the two targets
    assert pictures[0]["src"].startswith("data:image/png;base64,iVBOR")
    assert "The worst errors of onnx int8" in pictures[0]["alt"]


def test_what_quantization_tried_is_told(classified: _Page) -> None:
    assert [
        ["estimator", "error", "taken"],
        ["minmax", "0.5000", "no"],
        ["percentile 99.9", "0.1250", "yes"],
    ] in classified.tables
    operations = next(table for table in classified.tables if table[0][0] == "convolution")
    assert [line[0::4] for line in operations[1:]] == [["stem/conv", "yes"], ["last/conv", "no"]]


def test_lineage_names_every_artifact_whole(classifier: Run, classified: _Page) -> None:
    for label, artifact in classifier.artifacts.items():
        assert label in classified.text
        assert artifact.manifest.key in classified.text
        assert artifact.manifest.digest in classified.text
    assert "numpy 2.0" in classified.text
    assert "index seed 3." in classified.words()
    assert "data: {path: ., seed: 3}" in classified.text


def test_notice_is_shown_only_when_there_is_one(classifier: Run) -> None:
    assert 'class="notice"' not in page(classifier)
    changed = page(dataclasses.replace(classifier, notice="the recipe <changed>"))
    assert "<p>the recipe &lt;changed&gt;</p>" in changed


def test_same_run_gives_the_same_bytes(classifier: Run) -> None:
    assert page(classifier) == page(classifier)


def test_providers_of_one_file_share_its_ladder(shelf: Any, classifier: Run, examples: Any) -> None:
    assert classifier.packages
    rows = [examples.row("onnx int8 cuda"), examples.row("onnx int8", verdict="holds", reason="")]
    both = {Part.VERIFICATION.of(row.candidate): "verify onnx int8" for row in rows}
    shelf.put("package gpu", "bundle", examples.package("gpu", *rows), inputs=both)
    parity = page(shelf.run()).partition("<h2>Parity</h2>")[2].partition("</section>")[0]
    assert parity.count('<th scope="rowgroup"') == 2
    assert ">onnx int8</th>" in parity
    assert "cuda" not in parity


def _links(text: str) -> list[tuple[str, str]]:
    """Return place and text of each link to a section."""
    navigation = text.partition("<nav")[2].partition("</nav>")[0]
    return re.findall(r'<a href="#([^"]+)">([^<]+)</a>', navigation)


def test_sections_are_listed_in_the_order_that_they_state(chain: Run) -> None:
    text = page(chain)
    links = [
        ("targets", "Verdicts"), ("training", "Torch models"), ("model_chain", "Model chain"),
        ("parity", "Parity"), ("predictions", "Predictions"), ("latency", "Latency"),
        ("quantization", "Quantization"), ("lineage", "Lineage"),
    ]  # fmt: skip
    assert _links(text) == links
    assert re.findall(r'<section id="([^"]+)">\n<h2>([^<]+)</h2>', text) == links


def test_run_without_artifacts_of_a_section_has_no_such_section(detector: Run) -> None:
    text = page(detector)
    assert {"quantization", "model_chain"}.isdisjoint(name for name, _ in _links(text))
    assert 'id="quantization"' not in text
    bare = dataclasses.replace(detector, artifacts={"finetune": detector.artifacts["finetune"]})
    assert [name for name, _ in _links(page(bare))] == ["training", "lineage"]


def test_chain_marks_the_figures_that_are_transductive(classified: _Page, chain: Run) -> None:
    assert "transductive" not in classified.words()
    shown = _Page(page(chain))
    assert [
        ["model", "step", "score", "gain, pp", "dataset", "images"],
        ["teacher", "finetune", "top-1 0.500[0.400, 0.600]", "\N{EN DASH}", "evaluation", "479"],
        [
            "adapt", "top-1 0.542[0.442, 0.642]transductive", "4.2[1.0, 7.5]transductive",
            "evaluation", "479",
        ],
    ] in shown.tables  # fmt: skip


_SECTION = """\
from html import escape
from edgetl.report.sections import Section
SECTION = Section({version}title="Notes", position=15, render=lambda run: escape(f"<{{run.name}}>"))
"""


@pytest.fixture
def noted(
    classifier: Run, install_package: Callable[..., Path], request: pytest.FixtureRequest
) -> Run:
    install_package(
        "acme-notes",
        {"acme_notes.py": _SECTION.format(version=request.param)},
        {"edgetl.report_sections": {"notes": "acme_notes"}},
    )
    return classifier


@pytest.mark.parametrize("noted", ["version=4, "], indirect=True)
def test_installed_package_adds_a_section_that_names_it(noted: Run) -> None:
    text = page(noted)
    assert [name for name, _ in _links(text)][:3] == ["targets", "notes", "training"]
    assert '<section id="notes">\n<h2>Notes</h2>\n&lt;bits&gt;\n</section>' in text
    assert "with report section notes 4, acme-notes 0.3. This file needs" in text


@pytest.mark.parametrize("noted", ["version=None, "], indirect=True)
def test_section_without_a_version_is_refused(noted: Run) -> None:
    with pytest.raises(
        PluginError, match=r"report section 'notes' of package 'acme-notes 0\.3' states no version"
    ):
        page(noted)


@pytest.mark.parametrize("noted", [""], indirect=True)
def test_section_that_cannot_be_imported_is_named(noted: Run) -> None:
    with pytest.raises(
        PluginError, match=r"report section 'notes' of package 'acme-notes 0\.3' cannot be imported"
    ):
        page(noted)
