"""Finished runs put together of typed facts: a classifier for two targets, and a detector."""

from __future__ import annotations

import dataclasses
import io
import json
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from edgetl.config.limits import Limits
from edgetl.facts import FactsModel
from edgetl.facts.dataset import DatasetFacts
from edgetl.facts.latency import LatencyFacts, SustainedFacts
from edgetl.facts.model_files import (
    QuantizationFacts,
    RangeFacts,
    TriedConvolutionFacts,
    TriedRangeFacts,
)
from edgetl.facts.package import LATENCY_INPUT, CandidateRow, Part
from edgetl.facts.scores import Difference
from edgetl.facts.training import ChainFacts, ChainStep, ComparisonFacts
from edgetl.facts.verification import LadderStep
from edgetl.report.record import Run
from edgetl.runtime import closed_loop
from edgetl.runtime.interference import Disturbance
from edgetl.runtime.latency import Latency
from edgetl.runtime.timing_plan import TimingPlan
from edgetl.store.store import Artifact, Request, Store
from edgetl.types import Facts, Precision, Role, Split

BOLD = '<b onload="x()">bolt</b> & "nut"'
RESULTS = "phase,epoch,lr,train_loss,val_loss,val_top1\n"


class Shelf:
    """A store that artifacts are put into without running a stage."""

    def __init__(self, root: Path) -> None:
        self.store = Store(root)
        self.artifacts: dict[str, Artifact] = {}

    def put(
        self,
        label: str,
        kind: str,
        facts: FactsModel,
        files: Mapping[str, str | bytes] | None = None,
        *,
        settings: Facts | None = None,
        inputs: Mapping[str, str] | None = None,
    ) -> Artifact:
        """Shelve one artifact; `inputs` are labels by the name of the input."""
        stage = {"control": "distill"}.get(label, label.partition(" ")[0])
        request = Request(
            stage,
            1,
            {"label": label, **(settings or {})},
            {
                name: self.artifacts[source].manifest.digest
                for name, source in (inputs or {}).items()
            },
            {"numpy": "2.0"},
        )
        out, _, _ = self.store.folders(request)
        for name, content in (files or {}).items():
            data = content if isinstance(content, bytes) else content.encode()
            (out / name).write_bytes(data)
        self.artifacts[label] = self.store.commit(
            request, kind=kind, label=label, facts=facts.model_dump(mode="json"), seconds=1.25
        )
        return self.artifacts[label]

    def run(self, notice: str = "") -> Run:
        """Return the run of everything that was shelved."""
        recipe = {"name": "bits", "data": {"path": ".", "seed": 3}}
        return Run("bits", recipe, dict(self.artifacts), notice)


def untimed(examples: Any, name: str, **changes: object) -> CandidateRow:
    """Return the line of a candidate that no device timed."""
    nothing = ("p50_ms", "p95_ms", "p95_low_ms", "p95_high_ms", "provenance", "memory_bytes")
    row: CandidateRow = examples.row(name, **{**dict.fromkeys(nothing), **changes})
    return row


def latency(examples: Any, *model_ns: int) -> tuple[LatencyFacts, str]:
    """Return facts and raw samples of a timing of one run."""
    facts: LatencyFacts = examples.latency(
        stable=False,
        hottest_c=61.4,
        sustained=SustainedFacts(
            p50_ms_by_minute=(1.5, 1.6),
            p95_ms_by_minute=(1.6, 1.7),
            slowdown=1.07,
            hottest_c=61.4,
            median_frequency_mhz=None,
            slowest_frequency_mhz=None,
            throttled_from_s=30.0,
            throttled_by=("under-voltage",),
        ),
        host={"machine": "x86_64", "processor": "A <fast> one", "cores": 2, "governor": None},
    )
    nothing = array("q", [0])
    run = closed_loop.Run(
        model_ns=array("q", model_ns),
        end_to_end_ns=nothing,
        pre_ns=nothing,
        post_ns=nothing,
        disturbance=Disturbance(1.0, 0.0, 0, 0.0, None, (None, None)),
        temperature_c=(None, None),
        energy_j=None,
    )
    raw = Latency(
        engine="onnxruntime 1.31",
        threads=1,
        plan=TimingPlan(0.0, len(model_ns), 1),
        load_ns=1,
        first_ns=1,
        warm_up=closed_loop.WarmUp(1, stable=True),
        runs=(run,),
        peak_memory_bytes=None,
        host={},
    )
    return facts, json.dumps(raw.as_json())


def _picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 20, 20)).save(file, "PNG")
    return file.getvalue()


def _verify(
    shelf: Shelf, examples: Any, candidate: str, details: Facts, step: LadderStep, **changes: object
) -> None:
    picture = changes.setdefault("worst_errors", "worst-errors.png")
    facts = examples.verification(
        candidate, ladder=(step,), breaks_at=None if step.holds else step.step, **changes
    )
    files: dict[str, str | bytes] = {"verification.json": json.dumps(details)}
    if picture:
        files["worst-errors.png"] = _picture()
    shelf.put(f"verify {candidate}", "verification", facts, files)


CLASSES = [
    {"label": BOLD, "support": 4, "recall": 0.75, "precision": 1.0},
    {"label": "Öse", "support": 4, "recall": 1.0, "precision": 0.8},
]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "store")


@pytest.fixture
def classifier(shelf: Shelf, examples: Any) -> Run:
    """Chosen for `host`, unverified for `rpi4`; tflite int8 breaks."""
    dataset = DatasetFacts(
        role=Role.DATA,
        task="classification",
        classes=(BOLD, "Öse"),
        images={Split.TRAIN: 20, Split.VAL: 4, Split.TEST: 8},
        dropped={},
        duplicates=0,
        other_files=0,
    )
    shelf.put("index", "dataset", dataset, settings={"seed": 3})
    _train(shelf, examples)
    _quantize(shelf)
    timed, raw = latency(examples, 1_000_000, 1_500_000, 2_000_000)
    files = {f"student-{name}-int8-cpu.json": raw for name in ("onnx", "tflite")}
    times = examples.benchmark(onnx_int8=timed, tflite_int8=timed)
    shelf.put("benchmark local x1", "latency", times, files)
    details: Facts = {"classes": CLASSES, "confusion": [[3, 1], [0, 4]]}
    broken = "tflite fp32 to tflite int8"
    holds = examples.step("torch to onnx fp32", 90.0, holds=True)
    _verify(shelf, examples, "onnx int8", details, holds)
    _verify(shelf, examples, "tflite int8", details, examples.step(broken, 2.5, holds=False))
    worse = {"breaks_at": broken, "value": 0.6, "low": 0.55, "high": 0.65}
    onnx, tflite = (examples.candidate(f"{name} int8") for name in ("onnx", "tflite"))
    host = examples.package(
        "host",
        examples.row("onnx int8"),
        examples.row("tflite int8", verdict="rejected", reason="drop 14.2 > 1 pp", **worse),
        limits=Limits(drop_pp=1.0, p95_ms=3.0),
    )
    inputs = {
        Part.VERIFICATION.of(onnx): "verify onnx int8",
        LATENCY_INPUT: "benchmark local x1",
        Part.VERIFICATION.of(tflite): "verify tflite int8",
    }
    shelf.put("package host", "bundle", host, inputs=inputs)
    board = examples.package(
        "rpi4",
        untimed(
            examples, "tflite int8", verdict="unverified", reason="no device; smallest of them"
        ),
        device=None,
        threads=4,
        limits=Limits(drop_pp=None),
        verdict="unverified",
        why="no device",
    )
    inputs = {Part.VERIFICATION.of(tflite): "verify tflite int8"}
    shelf.put("package rpi4", "bundle", board, inputs=inputs)
    return shelf.run()


def _train(shelf: Shelf, examples: Any) -> None:
    """Put a teacher, a student, its control, and what comparing them showed."""
    lines = "probe,1,0.1,2.0,,\nfull,1,0.1,1.5,1.4,0.5\nfull,2,0.1,1.0,1.2,0.75\n"
    teacher = examples.training("teacher", 0.95)
    shelf.put("finetune", "teacher", teacher, {"results.csv": RESULTS + lines})
    student = examples.training("student", 0.88, method="dkd")
    lines = "s,1,0.1,3.0,2.0,0.6\n"
    shelf.put("distill", "student", student, {"results.csv": RESULTS + lines})
    shelf.put("control", "student", examples.training("control", 0.8, method="labels"))
    comparison = ComparisonFacts(
        images=8,
        student=examples.score(0.88),
        control=examples.score(0.8),
        gain=Difference(pp=8.0, low_pp=1.5, high_pp=14.0),
    )
    shelf.put("compare", "comparison", comparison)


def _quantize(shelf: Shelf) -> None:
    """Put an int8 file whose ranges and float operations were searched for."""
    facts = QuantizationFacts(
        model="student",
        format="onnx",
        precision=Precision.INT8,
        size_bytes=2**20,
        float_size_bytes=3 * 2**20,
        max_abs_error=0.1,
        float_operations={"Conv": 1},
        range=RangeFacts(estimator="percentile", percentile=99.9),
        estimators=(
            TriedRangeFacts(estimator="minmax", percentile=99.99, error=0.5),
            TriedRangeFacts(estimator="percentile", percentile=99.9, error=0.125),
        ),
        convolutions=(
            TriedConvolutionFacts(operation="stem/conv", kind="Conv", noise=0.25, error=0.5),
            TriedConvolutionFacts(operation="last/conv", kind="Conv", noise=0.125, error=0.0625),
        ),
        held_out=7,
        calibration_images=16,
        calibration_digest="c0ffee" * 10,
    )
    settings = {"int8": {"float_layers": {"convolutions": 1}}}
    shelf.put("quantize onnx int8", "quantized", facts, settings=settings)


@pytest.fixture
def chain(shelf: Shelf, classifier: Run, examples: Any) -> Run:
    """The classifier, with a teacher that adapted to images of the evaluation."""
    gain = Difference(pp=4.2, low_pp=1.0, high_pp=7.5)
    steps = (
        ChainStep(stage="finetune", score=examples.score(0.5), gain=None, transductive=False),
        ChainStep(stage="adapt", score=examples.score(0.542), gain=gain, transductive=True),
    )
    facts = ChainFacts(model="teacher", role=Role.EVALUATION, images=479, steps=steps)
    shelf.put("evaluate teacher", "evaluation", facts)
    return dataclasses.replace(shelf.run(), name=classifier.name)


@pytest.fixture
def detector(shelf: Shelf, examples: Any) -> Run:
    """Missed by its only candidate, which found nothing wrong but one class."""
    details: Facts = {
        "classes": [
            {"label": "nut", "support": 3, "ap": 0.5, "ap50": 0.75, "recall": 1.0},
            {"label": BOLD, "support": 0, "ap": None, "ap50": None, "recall": None},
        ],
        "curves": {"recall": [0.0, 0.5, 1.0], "precision": {"nut": [1.0, 0.75, 0.25]}},
    }
    titled = {"metric": "map", "title": "mAP"}
    score = examples.score(0.5, **titled)
    shelf.put("finetune", "teacher", examples.training("teacher", 0.5, test=score))
    _verify(
        shelf,
        examples,
        "onnx fp32",
        details,
        examples.step("torch to onnx fp32", 90.0, holds=True),
        worst_errors=None,
        drop=examples.drop(0.0, against="teacher", value=0.5),
        truncated="2 of 8 test images have up to 9 objects, more than are answered",
        value=0.5,
        figures={"map50": 0.75, "map_small": 0.125, "map_medium": 0.75, "map_large": None},
        **titled,
    )
    row = examples.row(
        "onnx fp32",
        verdict="rejected",
        reason="mAP 0.5 < 0.9",
        value=0.5,
        others={"mAP50": 0.75},
        **titled,
    )
    package = examples.package(
        "host",
        row,
        limits=Limits(drop_pp=None, map=0.9),
        verdict="missed",
        why="no candidate meets map; nearest is onnx fp32: mAP 0.5 < 0.9",
        chosen=None,
    )
    inputs = {Part.VERIFICATION.of(row.candidate): "verify onnx fp32"}
    shelf.put("package host", "bundle", package, inputs=inputs)
    return shelf.run()
