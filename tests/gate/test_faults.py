"""Each fault turns exactly the case red that is about it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from edgetl.config.target import Target
from edgetl.devices import open_device
from edgetl.errors import ConfigError, ExitCode
from edgetl.gate.baseline import make_baseline, write_baseline
from edgetl.gate.bundle import find_images, open_bundle
from edgetl.gate.case import Case, Required, Status, exit_code
from edgetl.gate.check import Checked, CheckOptions, check_bundle
from edgetl.gate.compare import Allowed
from edgetl.gate.measure import measure
from edgetl.runtime.contract import Contract
from edgetl.types import Split

Check = Callable[..., tuple[Case, ...]]
_SECONDS = 0.02
_RATIO = 50.0
"""Machines that run tests are busy; only a build that is slower than this is one."""


@pytest.fixture
def good(backend: Any) -> Path:
    folder: Path = backend.bundle("good")
    return folder


@pytest.fixture
def baseline(backend: Any, good: Path, tmp_path: Path) -> Path:
    """Return the baseline of the good bundle, without times."""
    bundle = open_bundle(good, "board")
    path = tmp_path / "baseline.json"
    write_baseline(make_baseline(bundle, find_images(bundle, backend.store), None), path)
    return path


@pytest.fixture
def timed(good: Path, baseline: Path) -> Path:
    """Return the same baseline with times of this machine."""
    local = open_device("local")
    bundle = open_bundle(good, "board")
    times = measure(bundle, local, threads=1, seconds=_SECONDS, dataset=None).times
    assert times is not None
    data = json.loads(baseline.read_text())
    data["latency"] = {
        "model_ms": times.summary.model_dump()["model_ms"],
        "threads": 1,
        "host": times.host,
    }
    baseline.write_text(json.dumps(data))
    return baseline


@pytest.fixture
def check(backend: Any, board: Callable[..., Target], baseline: Path) -> Check:
    """Return what checks a bundle against limits and a baseline that the good one holds.

    ``predict`` says whether the device answers the test images, too.
    """

    def run(folder: Path, *, predict: bool = True, **limits: Any) -> tuple[Case, ...]:
        bundle = open_bundle(folder, "board")
        options = CheckOptions(
            target=board(**limits),
            allowed=Allowed(drop_pp=0.5, ratio=_RATIO),
            baseline=baseline,
            seconds=_SECONDS,
            images=find_images(bundle, backend.store),
            predict=predict,
        )
        checked: Checked = check_bundle(bundle, open_device("local"), options)
        json.dumps(checked.as_json(), allow_nan=False)
        return checked.cases

    return run


def _red(cases: Sequence[Case]) -> list[str]:
    return [case.name for case in cases if case.status is Status.FAILED]


def _reason(cases: Sequence[Case], name: str) -> str:
    return next(case.reason for case in cases if case.name == name)


@pytest.mark.usefixtures("timed")
def test_good_bundle_has_no_red_case(good: Path, check: Check) -> None:
    cases = check(good, p95_ms=1000.0, end_to_end_p95_ms=1000.0, memory_mib=4096.0)
    assert [(case.name, case.status.value) for case in cases] == [
        ("files", "passed"),
        ("labels", "passed"),
        ("golden samples", "passed"),
        ("fitted pixels", "passed"),
        ("accuracy", "passed"),
        ("accuracy drop", "passed"),
        ("latency", "passed"),
        ("end-to-end latency", "passed"),
        ("size", "passed"),
        ("memory", "passed"),
        ("accuracy against baseline", "passed"),
        ("latency against baseline", "passed"),
        ("size against baseline", "passed"),
    ]
    assert exit_code(cases, Required.MEASURED) is ExitCode.DONE
    assert _reason(cases, "accuracy") == "top-1 0.9 [0.7985, 0.9534] of 60 images"
    assert _reason(cases, "accuracy drop") == "0 <= 1 pp"


def test_truncated_file_is_damage_and_nothing_else_is_run(good: Path, check: Check) -> None:
    model = good / "model.onnx"
    model.write_bytes(model.read_bytes()[:100])
    cases = check(good)
    assert _red(cases) == ["files"]
    assert cases[0].reason.endswith("is damaged: 'model.onnx' was changed")
    assert {case.reason for case in cases[1:]} == {"not run: the files are damaged"}
    assert {case.status for case in cases[1:]} == {Status.SKIPPED}
    assert exit_code(cases, Required.MEASURED) is ExitCode.DAMAGED


@pytest.mark.parametrize(
    ("order", "gain", "reason"),
    [
        pytest.param(
            (2, 1, 0), 1.0, r"logits against the recorded outputs: worst \d+, ", id="channels"
        ),
        pytest.param(
            (0, 1, 2), 0.0, r"logits against the recorded outputs: worst \d+, ", id="zeroed"
        ),
        pytest.param((0, 1, 2), float("nan"), "outputs are not finite", id="no numbers"),
    ],
)
def test_model_that_answers_otherwise_fails_its_golden_samples(
    backend: Any, check: Check, order: Sequence[int], gain: float, reason: str
) -> None:
    good = backend.root / "good"
    backend.save_model(good, order, gain)
    backend.seal(good)
    cases = check(good, predict=False)
    assert _red(cases) == ["golden samples"]
    assert re.search(reason, _reason(cases, "golden samples"))
    assert exit_code(cases, Required.MEASURED) is ExitCode.LIMIT_MISSED


def test_truncated_model_fails_its_golden_samples(backend: Any, good: Path, check: Check) -> None:
    (good / "model.onnx").write_bytes(b"torn")
    backend.seal(good)
    cases = check(good)
    assert _red(cases) == ["golden samples"]
    assert "model.onnx has 4 bytes, but contract.json" in _reason(cases, "golden samples")


def test_model_that_no_engine_opens_fails_its_golden_samples(
    backend: Any, good: Path, check: Check
) -> None:
    model = good / "model.onnx"
    model.write_bytes(b"torn")
    contract = Contract.load(good)
    # What the contract states, so that an engine sees it.
    (file,) = contract.files
    digest = hashlib.sha256(b"torn").hexdigest()
    stated = dataclasses.replace(file, size_bytes=4, sha256=digest)
    dataclasses.replace(contract, files=(stated,)).save(good)
    backend.seal(good)
    cases = check(good)
    assert _red(cases) == ["golden samples"]
    assert "cannot" in _reason(cases, "golden samples")
    assert _reason(cases, "fitted pixels") == "not run: the golden samples do not run"
    assert _reason(cases, "latency") == "not run: the golden samples do not run"
    assert exit_code(cases, Required.MEASURED) is ExitCode.LIMIT_MISSED


def test_runtime_that_swaps_channels_fails_the_fitted_pixels(
    backend: Any, good: Path, check: Check
) -> None:
    code = good / "edgetl" / "runtime" / "golden.py"
    text = code.read_text()
    swapped = text.replace(
        "fit_image(read_image(folder / name)", "fit_image(read_image(folder / name)[..., ::-1]"
    )
    assert swapped != text
    code.write_text(swapped)
    backend.seal(good)
    cases = check(good)
    assert _red(cases) == ["fitted pixels"]


def test_build_with_swapped_channels_fails_every_case_of_accuracy(
    backend: Any, good: Path, check: Check
) -> None:
    del good
    cases = check(backend.bundle("swapped", order=(2, 1, 0)))
    assert _red(cases) == ["accuracy", "accuracy drop", "accuracy against baseline"]
    assert _reason(cases, "accuracy") == (
        "top-1 0.333 is no better than always predicting 'red' (0.333); top-1 0.3333 < 0.8"
    )
    assert _reason(cases, "accuracy drop") == "56.67 > 1 pp"


def test_slower_build_fails_the_comparison_of_latency(
    good: Path, check: Check, timed: Path
) -> None:
    data = json.loads(timed.read_text())
    for quantile in data["latency"]["model_ms"].values():
        for key in quantile:
            quantile[key] /= 1000
    timed.write_text(json.dumps(data))
    cases = check(good)
    assert _red(cases) == ["latency against baseline"]
    assert "at most 50 allowed" in _reason(cases, "latency against baseline")


def test_wrong_order_of_labels_fails_the_labels(backend: Any, good: Path, check: Check) -> None:
    contract = Contract.load(good)
    dataclasses.replace(contract, labels=("red", "blue", "green")).save(good)
    backend.seal(good)
    cases = check(good)
    assert _red(cases) == ["labels"]
    assert _reason(cases, "labels") == (
        "the contract names class 1 'blue', the verification 'green': their order differs"
    )


def test_labels_in_another_order_than_the_baseline_fail_the_labels(
    good: Path, check: Check, baseline: Path
) -> None:
    data = json.loads(baseline.read_text())
    baseline.write_text(json.dumps({**data, "labels": ["blue", "green", "red"]}))
    cases = check(good)
    assert _red(cases) == ["labels"]
    assert _reason(cases, "labels") == (
        "the contract names class 0 'red', the baseline 'blue': their order differs"
    )


def test_missing_class_fails_the_labels(backend: Any, good: Path, check: Check) -> None:
    path = good / "contract.json"
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "labels": ["red", "green"]}))
    backend.seal(good)
    cases = check(good)
    assert _red(cases) == ["labels"]
    assert "a classifier has logits or probabilities of shape (1, 2)" in _reason(cases, "labels")
    assert _reason(cases, "latency") == "not run: the contract cannot be read"
    assert exit_code(cases, Required.MEASURED) is ExitCode.DAMAGED


def test_class_that_was_never_verified_fails_the_labels(
    backend: Any, good: Path, check: Check
) -> None:
    contract = Contract.load(good)
    dataclasses.replace(contract, labels=("red", "green", "cyan")).save(good)
    backend.seal(good)
    assert _reason(check(good), "labels") == (
        "the contract lacks 'blue' and has 'cyan' instead or in addition; compared with "
        "the verification"
    )


@pytest.mark.parametrize(
    ("limits", "red", "reason"),
    [
        ({"top1": 0.95}, "accuracy", "top-1 0.9 < 0.95"),
        ({"p95_ms": 1e-6}, "latency", "> 1e-06 ms"),
        ({"end_to_end_p95_ms": 1e-6}, "end-to-end latency", "> 1e-06 ms"),
        ({"size_mib": 1e-6}, "size", "> 1e-06 MiB"),
        ({"memory_mib": 1.0}, "memory", "> 1 MiB"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_missed_limit_turns_its_own_case_red(
    check: Check, good: Path, limits: dict[str, object], red: str, reason: str
) -> None:
    cases = check(good, predict=False, **limits)
    assert _red(cases) == [red]
    assert reason in _reason(cases, red)


def test_limit_of_a_class_is_judged_by_what_the_device_predicts(
    backend: Any, good: Path, check: Check
) -> None:
    images = find_images(open_bundle(good, "board"), backend.store)
    assert images is not None
    labels = images.dataset.labels(Split.TEST)
    right = images.predictions["logits"].argmax(axis=1) == labels
    classes = images.dataset.classes
    recall = {name: right[labels == index].mean() for index, name in enumerate(classes)}
    worst = min(recall, key=recall.__getitem__)
    assert recall[worst] < 0.99

    passed = check(good, class_recall={worst: float(f"{recall[worst]:.3f}") - 0.001})
    missed = check(good, class_recall={worst: 0.99}, class_precision=dict.fromkeys(classes, 0.0))

    assert _red(passed) == []
    assert _red(missed) == ["accuracy"]
    assert _reason(missed, "accuracy") == f"recall of {worst} {recall[worst]:.4g} < 0.99"


def test_limit_of_a_class_that_the_model_does_not_have_is_refused(good: Path, check: Check) -> None:
    with pytest.raises(ConfigError, match="the model has no class") as caught:
        check(good, class_recall={"gren": 0.9}, class_precision={"crack": 0.9})
    first, second = caught.value.message.splitlines()
    assert first == (
        "targets/board.yaml: limits.class_recall: the model has no class 'gren'; did you mean "
        "'green'?"
    )
    assert second == (
        "targets/board.yaml: limits.class_precision: the model has no class 'crack'; known: red, "
        "green, blue"
    )
