"""Finished runs made by hand: a classifier for two targets, and a detector."""

from __future__ import annotations

import io
import json
from array import array
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

from edgetl.report.record import Run
from edgetl.runtime import closed_loop
from edgetl.runtime.interference import Disturbance
from edgetl.runtime.latency import Latency
from edgetl.runtime.timing_plan import TimingPlan
from edgetl.store.store import Artifact, Request, Store
from edgetl.types import Facts

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
        facts: Facts,
        files: Mapping[str, str | bytes] | None = None,
        settings: Facts | None = None,
        **inputs: str,
    ) -> Artifact:
        """Shelve one artifact; `inputs` are labels, with `_` for the space in an input's name."""
        stage = {"control": "distill"}.get(label, label.partition(" ")[0])
        request = Request(
            stage,
            1,
            {"label": label, **(settings or {})},
            {
                name.replace("_", " "): self.artifacts[source].manifest.digest
                for name, source in inputs.items()
            },
            {"numpy": "2.0"},
        )
        out, _, _ = self.store.folders(request)
        for name, content in (files or {}).items():
            data = content if isinstance(content, bytes) else content.encode()
            (out / name).write_bytes(data)
        self.artifacts[label] = self.store.commit(
            request, kind=kind, label=label, facts=facts, seconds=1.25
        )
        return self.artifacts[label]

    def run(self, notice: str = "") -> Run:
        """Return the run of everything that was shelved."""
        recipe = {"name": "bits", "data": {"path": ".", "seed": 3}}
        return Run("bits", recipe, dict(self.artifacts), notice)


def row(candidate: str, verdict: str, reason: str, **changes: object) -> Facts:
    """Return one line of a target's table."""
    name, precision = candidate.split()
    facts: Facts = {
        "candidate": candidate,
        "format": name,
        "precision": precision,
        "metric": "top1",
        "title": "top-1",
        "value": 0.875,
        "low": 0.7,
        "high": 0.95,
        "others": {},
        "drop_pp": 0.5,
        "drop_low_pp": -0.25,
        "drop_high_pp": 1.0,
        "breaks_at": None,
        "size_bytes": 2**20,
        "p95_ms": 2.0,
        "p95_low_ms": 1.9,
        "p95_high_ms": 2.1,
        "provenance": "measured",
        "interfered": False,
        "memory_bytes": 50 * 2**20,
        "verdict": verdict,
        "reason": reason,
    }
    return facts | changes


def untimed(candidate: str, verdict: str, reason: str) -> Facts:
    """Return the line of a candidate that no device timed."""
    nothing = dict.fromkeys(
        ("p95_ms", "p95_low_ms", "p95_high_ms", "provenance", "memory_bytes"), None
    )
    return row(candidate, verdict, reason) | nothing


def limits(**given: float) -> Facts:
    names = ("top1", "map", "map50", "drop_pp", "p95_ms", "size_mib", "memory_mib")
    return {"better_than_guessing": True, **dict.fromkeys(names), **given}


def step(name: str, snr_db: float, *, holds: bool) -> Facts:
    return {
        "step": name,
        "images": 8,
        "max_error": 0.012,
        "snr_db": snr_db,
        "agreement": 0.75,
        "lowest_snr_db": 5.0,
        "holds": holds,
    }


def score(value: float, title: str = "top-1") -> Facts:
    return {"title": title, "value": value, "low": value - 0.1, "high": value + 0.1, "images": 8}


def trained(value: float, title: str = "top-1") -> Facts:
    return {
        "family": "mobilenet_v3_small",
        "width": 0.5,
        "parameters": 12345,
        "weights": {"source": "imagenet", "loaded": 3},
        "val": None,
        "test": score(value, title),
    }


def latency(*model_ns: int) -> tuple[Facts, str]:
    """Return facts and raw samples of a timing of one run."""
    figure = {"value": 2.0, "low": 1.9, "high": 2.1}
    facts: Facts = {
        "device": "local",
        "provenance": "measured",
        "model_ms": {"p50": {**figure, "value": 1.5}, "p95": figure},
        "runs": {"taken": 4, "undisturbed": 3},
        "stable": False,
        "hottest_c": 61.4,
        "energy_j": None,
        "sustained": {
            "p50_ms_by_minute": [1.5, 1.6],
            "slowdown": 1.07,
            "throttled_by": ["under-voltage"],
        },
        "host": {"machine": "x86_64", "processor": "A <fast> one", "cores": 2, "governor": None},
    }
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
    shelf: Shelf, candidate: str, details: Facts, *ladder: Facts, **changes: object
) -> None:
    broken = [each["step"] for each in ladder if not each["holds"]]
    facts: Facts = {
        "engine": "onnxruntime 1.31",
        "images": 8,
        "at_chance": None,
        "truncated": None,
        "drop": {"against": "distill", "value": 0.88, "pp": 0.5},
        "ladder": list(ladder),
        "breaks_at": broken[0] if broken else None,
        "worst_errors": "worst-errors.png",
        **changes,
    }
    files: dict[str, str | bytes] = {"verification.json": json.dumps(details)}
    if facts["worst_errors"]:
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
def classifier(shelf: Shelf) -> Run:
    """Chosen for `host`, unverified for `rpi4`; tflite int8 breaks."""
    images = {"train": 20, "val": 4, "test": 8}
    classes = [each["label"] for each in CLASSES]
    dataset = {"task": "classification", "classes": classes, "images": images}
    shelf.put("index", "dataset", dataset, settings={"seed": 3})
    lines = "probe,1,0.1,2.0,,\nfull,1,0.1,1.5,1.4,0.5\nfull,2,0.1,1.0,1.2,0.75\n"
    shelf.put("finetune", "teacher", trained(0.95), {"results.csv": RESULTS + lines})
    shelf.put(
        "distill", "student", trained(0.88), {"results.csv": RESULTS + "s,1,0.1,3.0,2.0,0.6\n"}
    )
    shelf.put("control", "student", trained(0.8))
    comparison = {"student": score(0.88), "control": score(0.8)}
    gain = {"gain_pp": 8.0, "low_pp": 1.5, "high_pp": 14.0}
    shelf.put("compare", "comparison", {"images": 8, **comparison, **gain})
    sizes = {"size_bytes": 2**20, "float_size_bytes": 3 * 2**20}
    ranges: Facts = {
        "range": {"estimator": "percentile", "percentile": 99.9},
        "tail": [],
        "estimators": [
            {"estimator": "minmax", "percentile": 99.99, "error": 0.5},
            {"estimator": "percentile", "percentile": 99.9, "error": 0.125},
        ],
        "convolutions": [
            {"operation": "stem/conv", "kind": "Conv", "noise": 0.25, "error": 0.5},
            {"operation": "last/conv", "kind": "Conv", "noise": 0.125, "error": 0.0625},
        ],
        "held_out": 7,
    }
    calibrated = {"calibration_images": 16, "calibration_digest": "c0ffee" * 10}
    shelf.put(
        "quantize onnx int8",
        "quantized",
        {**sizes, **ranges, **calibrated, "float_operations": {"Conv": 1}},
        settings={"int8": {"float_layers": {"convolutions": 1}}},
    )
    timed, raw = latency(1_000_000, 1_500_000, 2_000_000)
    shelf.put("benchmark onnx int8", "latency", timed, {"latency.json": raw})
    details: Facts = {"classes": CLASSES, "confusion": [[3, 1], [0, 4]]}
    _verify(shelf, "onnx int8", details, step("torch to onnx fp32", 90.0, holds=True))
    _verify(shelf, "tflite int8", details, step("tflite fp32 to tflite int8", 2.5, holds=False))
    broken = "tflite fp32 to tflite int8"
    worse = {"breaks_at": broken, "value": 0.6, "low": 0.55, "high": 0.65}
    shelf.put(
        "package host",
        "bundle",
        {
            "target": "host",
            "device": "local",
            "threads": 1,
            "limits": limits(drop_pp=1.0, p95_ms=3.0),
            "verdict": "held",
            "why": "",
            "chosen": "onnx int8",
            "rows": [
                row("onnx int8", "chosen", "fastest within limits"),
                row("tflite int8", "rejected", "drop 14.2 > 1 pp", **worse),
            ],
        },
        onnx_int8_verification="verify onnx int8",
        onnx_int8_latency="benchmark onnx int8",
        tflite_int8_verification="verify tflite int8",
    )
    shelf.put(
        "package rpi4",
        "bundle",
        {
            "target": "rpi4",
            "device": None,
            "threads": 4,
            "limits": limits(),
            "verdict": "unverified",
            "why": "no device",
            "chosen": "tflite int8",
            "rows": [untimed("tflite int8", "unverified", "no device; smallest of them")],
        },
        tflite_int8_verification="verify tflite int8",
    )
    return shelf.run()


@pytest.fixture
def detector(shelf: Shelf) -> Run:
    """Missed by its only candidate, which found nothing wrong but one class."""
    details: Facts = {
        "classes": [
            {"label": "nut", "support": 3, "ap": 0.5, "ap50": 0.75, "recall": 1.0},
            {"label": BOLD, "support": 0, "ap": None, "ap50": None, "recall": None},
        ],
        "curves": {"recall": [0.0, 0.5, 1.0], "precision": {"nut": [1.0, 0.75, 0.25]}},
    }
    shelf.put("finetune", "teacher", trained(0.5, "mAP"))
    _verify(
        shelf,
        "onnx fp32",
        details,
        step("torch to onnx fp32", 90.0, holds=True),
        worst_errors=None,
        drop={"against": "finetune", "value": 0.5, "pp": 0.0},
        truncated="2 of 8 test images have up to 9 objects, more than are answered",
        title="mAP",
        value=0.5,
        map_small=0.125,
        map_medium=0.75,
        map_large=None,
    )
    titled = {"metric": "map", "title": "mAP", "others": {"mAP50": 0.75}}
    shelf.put(
        "package host",
        "bundle",
        {
            "target": "host",
            "device": "local",
            "threads": 1,
            "limits": limits(map=0.9),
            "verdict": "missed",
            "why": "no candidate holds map; nearest is onnx fp32: mAP 0.5 < 0.9",
            "chosen": None,
            "rows": [row("onnx fp32", "rejected", "mAP 0.5 < 0.9", value=0.5, **titled)],
        },
        onnx_fp32_verification="verify onnx fp32",
    )
    return shelf.run()
