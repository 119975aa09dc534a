"""Each case that needs no baseline, from figures that are given: status, words and figures."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgetl.config.target import Target
from edgetl.errors import ExitCode
from edgetl.evaluation.operating import share_facts
from edgetl.facts.latency import Quantile
from edgetl.facts.operating_point import ClassCounts, OperatingFigures
from edgetl.facts.scores import Difference
from edgetl.gate.bundle import Bundle, Images, find_images, open_bundle
from edgetl.gate.case import MANIFEST, Case, Status
from edgetl.gate.limits import (
    Accuracy,
    files_case,
    golden_cases,
    judged_accuracy,
    labels_case,
    limit_cases,
    unproven,
)
from edgetl.gate.measure import Measurements, Times
from edgetl.runtime.contract import LABELS_FILE, Contract
from edgetl.runtime.golden import ReplayRow
from edgetl.types import Split

Board = Callable[..., Target]
_NOT_REPLAYED = Measurements("ssh://pi@rpi4", "measured", (), "", None, None)
_QUIET = {
    "asked": 5,
    "taken": 5,
    "undisturbed": 5,
    "p50_ms": [4] * 5,
    "disturbances": [[]] * 5,
}


@pytest.fixture
def bundle(backend: Any) -> Bundle:
    return open_bundle(backend.bundle(), "board")


@pytest.fixture
def images(backend: Any, bundle: Bundle) -> Images:
    """Return the 60 test images, with predictions of which 54 are right."""
    images = find_images(bundle, backend.store)
    assert images is not None
    return images


@pytest.fixture
def times(examples: Any) -> Times:
    """Return a p95 of 5 ms and 64 MiB, undisturbed."""
    summary = examples.timing(5.0, runs=_QUIET, peak_memory_bytes=64 << 20, interfered=False)
    return Times(summary, {})


def _disturbed(times: Times) -> Times:
    summary = times.summary.model_copy(update={"interfered": True})
    return dataclasses.replace(times, summary=summary)


def test_accuracy_is_that_of_the_manifest_until_a_device_predicts(
    bundle: Bundle, images: Images
) -> None:
    of_manifest = Accuracy.of_manifest(bundle)
    assert of_manifest == Accuracy(
        score=bundle.manifest.accuracy,
        at_chance=None,
        no_predictions=False,
        drop=bundle.manifest.accuracy.drop,
        classes=bundle.manifest.accuracy.classes,
        provenance=MANIFEST,
    )
    assert judged_accuracy(bundle, None, None) == (of_manifest, None)
    assert judged_accuracy(bundle, None, _NOT_REPLAYED) == (of_manifest, None)
    for measurements in (None, _NOT_REPLAYED):
        accuracy, predictions = judged_accuracy(bundle, images, measurements)
        assert accuracy == of_manifest
        assert predictions is images.predictions


def test_accuracy_of_predictions_on_a_device_replaces_that_of_the_manifest(
    bundle: Bundle, images: Images
) -> None:
    # One of the 54 right images less: 53 of 60, 1.6667 points below the 0.9 that was verified.
    logits = images.predictions["logits"].copy()
    logits[0] = np.roll(logits[0], 1)
    measured = dataclasses.replace(_NOT_REPLAYED, predictions={"logits": logits})
    accuracy, predictions = judged_accuracy(bundle, images, measured)
    assert predictions is measured.predictions
    assert accuracy.score.value == 0.883333
    assert (accuracy.at_chance, accuracy.provenance) == (None, "measured")
    assert accuracy.no_predictions is False
    made = bundle.manifest.accuracy.drop
    assert accuracy.drop.pp == pytest.approx(1.6667)
    assert accuracy.drop.low_pp == pytest.approx(made.low_pp + 1.6667)
    assert accuracy.drop.high_pp == pytest.approx(made.high_pp + 1.6667)
    assert [row.label for row in accuracy.classes] == ["red", "green", "blue"]
    assert all(row.support == 20 for row in accuracy.classes)
    assert accuracy.figures(bundle, None).drop_pp == 1.6667


def test_predictions_that_only_guess_are_told(bundle: Bundle, images: Images) -> None:
    always_red = {"logits": np.tile(np.array([1, 0, 0], np.float32), (60, 1))}
    accuracy = Accuracy.of_predictions(always_red, images, bundle, "emulated")
    assert accuracy.at_chance == ("top-1 0.333 is no better than always predicting 'red' (0.333)")
    assert accuracy.provenance == "emulated"


def test_predictions_on_a_device_are_judged_at_the_thresholds_of_the_bundle(
    bundle: Bundle, images: Images
) -> None:
    # All 20 images of each class right: exp(1) / (exp(1) + 2) = 0.576, and 0.787 for each second.
    logits = np.eye(3, dtype=np.float32)[images.dataset.labels(Split.TEST)]
    logits[::2] *= 2
    surer = int((images.dataset.labels(Split.TEST)[::2] == 0).sum())
    assert 0 < surer < 20
    contract = Contract.load(bundle.folder)
    dataclasses.replace(contract, class_thresholds=(0.7, 0.0, 0.9)).save(bundle.folder)
    accuracy = Accuracy.of_predictions({"logits": logits}, images, bundle, "measured")
    red, green, blue = (row.figures for row in accuracy.classes)
    assert (red["recall"], red["precision"]) == (surer / 20, 1.0)
    assert (green["recall"], green["precision"]) == (1.0, 1.0)
    assert (blue["recall"], blue["precision"]) == (0.0, None)
    assert accuracy.score.value == 1.0
    assert accuracy.no_predictions is False


def test_manifest_is_judged_at_its_thresholds(bundle: Bundle) -> None:
    counts = [
        ClassCounts(
            label=label,
            support=20,
            predicted=predicted,
            right=5,
            recall=share_facts(5, 20),
            precision=share_facts(5, predicted),
        )
        for label, predicted in (("red", 5), ("green", 10), ("blue", 20))
    ]
    operating = OperatingFigures(classes=tuple(counts), decided=None)
    accuracy = bundle.manifest.accuracy.model_copy(update={"operating": operating})
    manifest = bundle.manifest.model_copy(update={"accuracy": accuracy})
    classes = Accuracy.of_manifest(dataclasses.replace(bundle, manifest=manifest)).classes
    assert [row.figures["precision"] for row in classes] == [1.0, 0.5, 0.25]
    assert [row.figures["recall"] for row in classes] == [0.25] * 3


def test_figures_come_from_accuracy_file_and_device(bundle: Bundle, times: Times) -> None:
    accuracy = Accuracy.of_manifest(bundle)
    without = accuracy.figures(bundle, None)
    assert (without.title, dict(without.accuracies)) == ("top-1", {"top1": 0.9})
    assert (without.at_chance, without.no_predictions, without.drop_pp) == (None, False, 0.0)
    assert without.size_bytes == (bundle.folder / "model.onnx").stat().st_size
    assert (without.p95_ms, without.memory_bytes, without.interfered) == (None, None, False)
    timed = accuracy.figures(bundle, times)
    assert (timed.p95_ms, timed.memory_bytes, timed.interfered) == (5.0, 64 << 20, False)
    assert accuracy.figures(bundle, _disturbed(times)).interfered
    few = times.summary.model_copy(update={"model_ms": {"p50": None, "p95": None}})
    assert accuracy.figures(bundle, dataclasses.replace(times, summary=few)).p95_ms is None


def test_files_are_counted_or_their_damage_is_named(bundle: Bundle) -> None:
    count = len(bundle.manifest.files)
    assert files_case(bundle) == Case(
        "files", Status.PASSED, f"{count} files as listed in the manifest"
    )
    (bundle.folder / "model.onnx").write_bytes(b"torn")
    case = files_case(bundle)
    assert (case.name, case.status, case.exit_code) == ("files", Status.FAILED, ExitCode.DAMAGED)
    assert case.reason.endswith("'model.onnx' was changed")


@pytest.mark.parametrize(
    ("expected", "reason"),
    [
        pytest.param(None, "", id="no baseline"),
        pytest.param(("red", "green", "blue"), "", id="same"),
        pytest.param(
            ("blue", "green", "red"),
            "the contract names class 0 'red', the baseline 'blue': their order differs",
            id="order",
        ),
        pytest.param(
            ("red", "green", "blue", "cyan", "grey"),
            "the contract lacks 'cyan', 'grey'; compared with the baseline",
            id="missing",
        ),
        pytest.param(
            ("red",),
            "the contract has 'green', 'blue' instead or in addition; compared with the baseline",
            id="added",
        ),
    ],
)
def test_classes_are_compared_with_those_of_the_baseline(
    bundle: Bundle, expected: tuple[str, ...] | None, reason: str
) -> None:
    case = labels_case(bundle, expected)
    assert (case.name, case.status) == ("labels", Status.FAILED if reason else Status.PASSED)
    assert case.reason == (reason or "3 classes in the order that was verified")
    assert case.exit_code is ExitCode.LIMIT_MISSED


def test_classes_are_compared_with_the_file_of_labels(bundle: Bundle) -> None:
    (bundle.folder / LABELS_FILE).write_text("red\nblau\nblue\n", encoding="utf-8")
    assert labels_case(bundle, None).reason == (
        "the contract lacks 'blau' and has 'green' instead or in addition; compared with "
        f"{LABELS_FILE}"
    )
    (bundle.folder / LABELS_FILE).unlink()
    assert labels_case(bundle, None).status is Status.PASSED


def test_labels_of_a_contract_that_cannot_be_read_are_damage(bundle: Bundle) -> None:
    path = bundle.folder / "contract.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"labels": 3}))
    case = labels_case(bundle, None)
    assert (case.name, case.status, case.exit_code) == ("labels", Status.FAILED, ExitCode.DAMAGED)
    assert "labels" in case.reason


def _row(name: str, what: str, worst: float, tolerance: float | None) -> ReplayRow:
    return ReplayRow(name, what, worst, tolerance)


def test_golden_samples_and_fitted_pixels_are_judged_apart(bundle: Bundle) -> None:
    rows = (
        _row("golden-0.png", "against the recorded pixels", 0.0, 0.0),
        _row("golden-1.png", "against the recorded pixels", 2.0, 0.0),
        _row("logits", "against the recorded outputs", 0.0125, 0.01),
        _row("detections", "as recorded", 0.0, 0.0),
        _row("shown", "only", 9.0, None),
    )
    measurements = dataclasses.replace(_NOT_REPLAYED, golden=rows)
    predictions, pixels = golden_cases(bundle, measurements)
    assert predictions == Case(
        "golden samples",
        Status.FAILED,
        "logits against the recorded outputs: worst 0.0125, 0.01 allowed",
        "measured",
        figures={"logits": 0.0125, "detections": 0.0},
    )
    assert pixels == Case(
        "fitted pixels",
        Status.FAILED,
        "golden-1.png against the recorded pixels: worst 2, 0 allowed",
        "measured",
        figures={"golden-0.png": 0.0, "golden-1.png": 2.0},
    )
    worse = dataclasses.replace(measurements, golden=(rows[1], rows[2], rows[2]))
    assert golden_cases(bundle, worse)[0].reason == (
        "logits against the recorded outputs: worst 0.0125, 0.01 allowed; "
        "logits against the recorded outputs: worst 0.0125, 0.01 allowed"
    )
    good = dataclasses.replace(measurements, golden=(rows[0], rows[3], rows[3]))
    predictions, pixels = golden_cases(bundle, good)
    assert (predictions.status, predictions.reason) == (
        Status.PASSED,
        "detections as recorded: worst 0, 0 allowed; detections as recorded: worst 0, 0 allowed",
    )
    assert (pixels.status, pixels.reason) == (
        Status.PASSED,
        "golden-0.png against the recorded pixels: worst 0, 0 allowed",
    )


def test_model_that_takes_no_image_has_no_fitted_pixels(bundle: Bundle) -> None:
    rows = (_row("logits", "against the recorded outputs", 0.0, 0.01),)
    predictions, pixels = golden_cases(bundle, dataclasses.replace(_NOT_REPLAYED, golden=rows))
    assert predictions.status is Status.PASSED
    assert pixels == Case("fitted pixels", Status.SKIPPED, "the model takes no image")


def test_golden_samples_that_do_not_run_fail_with_the_reason(bundle: Bundle) -> None:
    failed = dataclasses.replace(_NOT_REPLAYED, error="onnxruntime cannot open model.onnx")
    predictions, pixels = golden_cases(bundle, failed)
    assert predictions == Case(
        "golden samples", Status.FAILED, "onnxruntime cannot open model.onnx", "measured"
    )
    why = "not run: the golden samples do not run"
    assert pixels == Case("fitted pixels", Status.SKIPPED, why)


def test_every_limit_has_a_case_with_its_figures(
    bundle: Bundle, board: Board, times: Times
) -> None:
    size = (bundle.folder / "model.onnx").stat().st_size
    mib = size / (1 << 20)
    target = board(top1=0.9, drop_pp=0.0, p95_ms=5.0, size_mib=1.0, memory_mib=64)
    measurements = dataclasses.replace(_NOT_REPLAYED, times=times)
    drop = bundle.manifest.accuracy.drop
    cases = limit_cases(bundle, Accuracy.of_manifest(bundle), measurements, target)
    assert cases == [
        Case(
            "accuracy",
            Status.PASSED,
            "top-1 0.9 [0.8, 1] of 60 images",
            MANIFEST,
            "top-1 0.9 [0.8, 1] is not shown to be at least 0.9",
            figures={"top1": 0.9, "images": 60},
        ),
        Case(
            "accuracy drop",
            Status.PASSED,
            "0 <= 0 pp",
            MANIFEST,
            f"drop 0 [{drop.low_pp:.4g}, {drop.high_pp:.4g}] is not shown to be at most 0 pp",
            figures={"value": 0.0, "limit": 0.0, "unit": "pp"},
        ),
        Case(
            "latency",
            Status.PASSED,
            "5 <= 5 ms",
            "measured",
            "p95 5 [4.9, 5.1] is not shown to be at most 5 ms",
            figures={"value": 5.0, "limit": 5.0, "unit": "ms"},
        ),
        Case("end-to-end latency", Status.SKIPPED, "targets/board.yaml sets no limit"),
        Case(
            "size",
            Status.PASSED,
            f"{mib:.4g} <= 1 MiB",
            figures={"value": round(mib, 6), "limit": 1.0, "unit": "MiB"},
        ),
        Case(
            "memory",
            Status.PASSED,
            "64 <= 64 MiB",
            "measured",
            figures={"value": 64.0, "limit": 64.0, "unit": "MiB"},
        ),
    ]


def test_every_missed_limit_is_red_and_only_a_time_is_doubtful(
    bundle: Bundle, board: Board, times: Times
) -> None:
    accuracy = dataclasses.replace(
        Accuracy.of_manifest(bundle),
        at_chance="no better than guessing",
        drop=Difference(pp=1.0, low_pp=0.0, high_pp=2.0),
    )
    target = board(
        top1=0.95,
        drop_pp=0.5,
        p95_ms=4.0,
        end_to_end_p95_ms=6.0,
        size_mib=1e-6,
        memory_mib=63,
    )
    end_to_end = {"p95": Quantile(value=7.0, low=6.5, high=8.0)}
    summary = times.summary.model_copy(update={"end_to_end_ms": end_to_end})
    measurements = dataclasses.replace(
        _NOT_REPLAYED, times=dataclasses.replace(times, summary=summary)
    )
    cases = limit_cases(bundle, accuracy, measurements, target)
    assert {case.status for case in cases} == {Status.FAILED}
    reasons = {case.name: case.reason for case in cases}
    assert reasons.pop("size").endswith(" > 1e-06 MiB")
    assert reasons == {
        "accuracy": "no better than guessing; top-1 0.9 < 0.95",
        "accuracy drop": "1 > 0.5 pp",
        "latency": "5 > 4 ms",
        "end-to-end latency": "7 > 6 ms",
        "memory": "64 > 63 MiB",
    }
    assert [case.name for case in cases if case.doubtful] == ["latency", "end-to-end latency"]
    assert cases[1].figures == {"value": 1.0, "limit": 0.5, "unit": "pp"}


def test_without_times_limits_of_the_device_are_unverified(bundle: Bundle, board: Board) -> None:
    accuracy = Accuracy.of_manifest(bundle)
    emulated = dataclasses.replace(_NOT_REPLAYED, device="emulated:pi", provenance="emulated")
    cases = {
        case.name: case
        for case in limit_cases(bundle, accuracy, emulated, board(p95_ms=3.0, memory_mib=None))
    }
    assert cases["latency"] == Case(
        "latency",
        Status.UNVERIFIED,
        "at most 3 ms allowed, but only a measured figure can pass, and device 'emulated:pi' is "
        "emulated",
        "emulated",
    )
    assert cases["memory"] == Case("memory", Status.SKIPPED, "targets/board.yaml sets no limit")
    broken = dataclasses.replace(emulated, error="it does not run")
    why = "not run: the golden samples do not run"
    target = board(p95_ms=3.0)
    skipped = {case.name: case for case in limit_cases(bundle, accuracy, broken, target)}
    assert skipped["latency"] == Case("latency", Status.SKIPPED, why)
    assert skipped["memory"] == Case("memory", Status.SKIPPED, why)


def test_unknown_figure_of_the_device_is_a_missed_limit(
    bundle: Bundle, board: Board, times: Times
) -> None:
    summary = times.summary.model_copy(
        update={"model_ms": {"p50": None, "p95": None}, "peak_memory_bytes": None}
    )
    measurements = dataclasses.replace(
        _NOT_REPLAYED, times=dataclasses.replace(times, summary=summary)
    )
    target = board(p95_ms=3.0, end_to_end_p95_ms=9.0, memory_mib=64)
    cases = limit_cases(bundle, Accuracy.of_manifest(bundle), measurements, target)
    assert [case for case in cases if case.status is not Status.PASSED] == [
        Case(
            "latency",
            Status.FAILED,
            "too few times were taken for a p95; at most 3 ms allowed",
            "measured",
        ),
        Case(
            "end-to-end latency",
            Status.FAILED,
            "too few times were taken for an end-to-end p95; at most 9 ms allowed",
            "measured",
        ),
        Case(
            "memory",
            Status.FAILED,
            "the device does not report its peak memory; at most 64 MiB allowed",
            "measured",
        ),
    ]


def test_figures_without_a_limit_are_told(bundle: Bundle, board: Board, times: Times) -> None:
    target = board(top1=None, drop_pp=None, size_mib=None)
    measurements = dataclasses.replace(_NOT_REPLAYED, times=times)
    cases = limit_cases(bundle, Accuracy.of_manifest(bundle), measurements, target)
    assert cases[1] == Case(
        "accuracy drop",
        Status.SKIPPED,
        "0 pp; targets/board.yaml sets no limit",
        MANIFEST,
        figures={"value": 0.0, "limit": None, "unit": "pp"},
    )
    assert [(case.name, case.status.value) for case in cases] == [
        ("accuracy", "passed"),
        ("accuracy drop", "skipped"),
        ("latency", "skipped"),
        ("end-to-end latency", "skipped"),
        ("size", "skipped"),
        ("memory", "skipped"),
    ]


_RED = Case("latency", Status.FAILED, "9 > 8 ms", "measured")


@pytest.mark.parametrize(
    ("measurements", "disturbed", "expected"),
    [
        pytest.param(1, False, (Status.FAILED, "9 > 8 ms"), id="quiet"),
        pytest.param(3, False, (Status.FAILED, "9 > 8 ms in 3 measurements"), id="each time"),
        pytest.param(
            1,
            True,
            (
                Status.UNVERIFIED,
                "9 > 8 ms, but the timing was disturbed: run again when the device is idle",
            ),
            id="disturbed",
        ),
        pytest.param(
            2,
            True,
            (
                Status.UNVERIFIED,
                (
                    "9 > 8 ms, but the timing was disturbed in 2 measurements: run again when the "
                    "device is idle"
                ),
            ),
            id="disturbed each time",
        ),
    ],
)
def test_red_time_is_doubtful_and_unverified_if_it_was_disturbed(
    times: Times, *, measurements: int, disturbed: bool, expected: tuple[Status, str]
) -> None:
    taken = dataclasses.replace(times, measurements=measurements)
    case = unproven(_RED, _disturbed(taken) if disturbed else taken)
    assert case.doubtful
    assert (case.status, case.reason) == expected


def test_green_time_stays_green_however_it_was_taken(times: Times) -> None:
    green = Case("latency", Status.PASSED, "5 <= 8 ms")
    assert unproven(green, _disturbed(times)) is green
