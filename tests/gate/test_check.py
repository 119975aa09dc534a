"""What passes on which evidence, and what cannot be checked at all."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from edgetl.config.target import Target
from edgetl.devices import Connection
from edgetl.devices.local import LocalDevice
from edgetl.errors import ConfigError, DeviceError, ExitCode, UsageError
from edgetl.gate.baseline import make_baseline, write_baseline
from edgetl.gate.bundle import find_images, open_bundle
from edgetl.gate.case import MANIFEST, Case, Required, Status, exit_code
from edgetl.gate.check import Checked, CheckOptions, check_bundle, reach
from edgetl.gate.compare import Allowed
from edgetl.gate.limits import golden_cases
from edgetl.gate.measure import Measurements, measure
from edgetl.runtime.contract import Contract
from edgetl.runtime.errors import BundleError
from edgetl.types import Facts

Board = Callable[..., Target]
Evidence = Callable[..., Measurements]
_EMULATED = LocalDevice("emulated:board", "emulated")


class _Untouched:
    address = "ssh://pi@rpi4"
    provenance = "measured"

    def describe(self) -> Facts:
        raise AssertionError

    def connect(self) -> AbstractContextManager[Connection]:
        raise AssertionError


def test_emulated_answers_can_pass_and_emulated_times_never(backend: Any, board: Board) -> None:
    bundle = open_bundle(backend.bundle(), "board")
    options = CheckOptions(
        target=board(p95_ms=1000.0, memory_mib=4096.0),
        allowed=Allowed(0.5, 1.1),
        required=Required.EMULATED,
        images=find_images(bundle, backend.store),
        predict=True,
    )
    checked = check_bundle(bundle, _EMULATED, options)
    cases = {case.name: case for case in checked.cases}
    assert (cases["golden samples"].status, cases["golden samples"].provenance) == (
        Status.PASSED,
        "emulated",
    )
    assert (cases["accuracy"].status, cases["accuracy"].provenance) == (Status.PASSED, "emulated")
    for name, limit in (("latency", "1000 ms"), ("memory", "4096 MiB")):
        assert cases[name].status is Status.UNVERIFIED
        assert cases[name].reason == (
            f"at most {limit} allowed, but only a measured figure can pass, and device "
            "'emulated:board' is emulated"
        )
    facts = checked.as_json()
    assert (facts["verdict"], facts["provenance"], facts["host"]) == ("passed", "emulated", None)


def test_result_as_json_holds_everything_that_reports_need(
    backend: Any, board: Board, evidence: Evidence
) -> None:
    folder = backend.bundle()
    options = CheckOptions(target=board(), allowed=Allowed(0.5, 1.1), baseline=Path("kept.json"))
    case = Case("size", Status.FAILED, "2 > 1 MiB", "measured", "told", {"value": 2.0})
    measurements = evidence()
    bundle = open_bundle(folder, "board")
    checked = Checked(bundle, options, LocalDevice(), measurements, (case,))
    assert measurements.times is not None
    expected = {
        "schema": 1,
        "verdict": "failed",
        "exit_code": 5,
        "bundle": str(folder),
        "name": "colours",
        "target": "board",
        "candidate": "onnx fp32",
        "device": "local",
        "provenance": "measured",
        "required": "measured",
        "baseline": "kept.json",
        "allowed_drop_pp": 0.5,
        "allowed_ratio": 1.1,
        "false_alarm_rate": 0.01,
        "host": {},
        "latency": json.loads(measurements.times.summary.model_dump_json()),
        "cases": [
            {
                "name": "size",
                "status": "failed",
                "reason": "2 > 1 MiB",
                "provenance": "measured",
                "warning": "told",
                "figures": {"value": 2.0},
            }
        ],
    }
    assert checked.as_json() == expected
    damaged = Checked(
        bundle,
        dataclasses.replace(options, baseline=None, required=Required.EMULATED),
        LocalDevice(),
        None,
        (),
    )
    assert damaged.as_json() == expected | {
        "verdict": "passed",
        "exit_code": 0,
        "required": "emulated",
        "baseline": None,
        "host": None,
        "latency": None,
        "cases": [],
    }


def test_emulated_device_is_refused_where_measured_figures_are_required(board: Board) -> None:
    with pytest.raises(UsageError, match="is emulated, but --require measured needs") as error:
        reach(board(), "emulated:cortex-a72", Required.MEASURED)
    assert error.value.remedy.endswith("accept emulation with --require emulated")


def test_target_without_device_cannot_be_checked(board: Board) -> None:
    with pytest.raises(
        DeviceError, match=r"board\.yaml names no device, and neither does --device"
    ):
        reach(board(device=None), None, Required.MEASURED)


def test_given_device_comes_before_that_of_the_target(board: Board) -> None:
    assert reach(board(), None, Required.MEASURED).address == "local"
    assert reach(board(), "emulated:cortex-a53", Required.EMULATED).address == "emulated:cortex-a53"


def test_bundle_of_another_target_is_refused(backend: Any) -> None:
    with pytest.raises(ConfigError, match="was made for 'board', not 'rpi4'") as error:
        open_bundle(backend.bundle(), "rpi4")
    assert error.value.remedy == "name the bundle of 'rpi4', or give --target board"


def test_folder_without_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"is not a bundle: it has no manifest\.json"):
        open_bundle(tmp_path, "board")


def test_manifest_that_lacks_what_is_needed_is_damaged(backend: Any) -> None:
    folder = backend.bundle()
    data = json.loads((folder / "manifest.json").read_text())
    del data["accuracy"]["drop"]
    (folder / "manifest.json").write_text(json.dumps(data))
    with pytest.raises(BundleError, match=r"cannot be read: accuracy\.drop: field required"):
        open_bundle(folder, "board")


def test_device_that_answers_with_something_else_is_an_error(backend: Any) -> None:
    folder = backend.bundle()
    code = folder / "edgetl" / "runtime" / "golden.py"
    postponed = "from __future__ import annotations\n"
    code.write_text(code.read_text().replace(postponed, f"{postponed}print('hello')\n"))
    with pytest.raises(DeviceError, match="'local' printed 'hello"):
        measure(open_bundle(folder, ""), LocalDevice(), threads=1, seconds=None, dataset=None)


def test_gpu_that_is_not_there_is_the_fault_of_the_device(backend: Any) -> None:
    folder = backend.bundle()
    dataclasses.replace(Contract.load(folder), provider="cuda").save(folder)
    with pytest.raises(
        DeviceError,
        match=r"exited with 1: onnxruntime \S+ has no CUDAExecutionProvider here, which 'cuda' "
        r"needs; it has .* \| replace onnxruntime by onnxruntime-gpu",
    ) as caught:
        measure(open_bundle(folder, ""), LocalDevice(), threads=1, seconds=0.01, dataset=None)
    assert caught.value.exit_code == 7


def test_times_of_another_edgetl_are_refused(backend: Any) -> None:
    folder = backend.bundle()
    code = folder / "edgetl" / "runtime" / "latency.py"
    text = code.read_text()
    older = re.sub(r"^SCHEMA = \d+$", "SCHEMA = 0", text, flags=re.MULTILINE)
    assert older != text
    code.write_text(older)
    with pytest.raises(UsageError, match="times differently: latency has schema 0, not") as error:
        measure(open_bundle(folder, ""), LocalDevice(), threads=1, seconds=0.01, dataset=None)
    assert error.value.remedy == "make the bundle again with this edgetl: edgetl run RECIPE"


@pytest.mark.parametrize(
    ("disturbed", "limit_ms", "verdict", "part", "taken"),
    [
        pytest.param(0, 1e-6, "failed", "> 1e-06 ms in 3 measurements", 15, id="red each time"),
        pytest.param(10, 1e-6, "failed", "> 1e-06 ms in 3", 20, id="red when it was quiet"),
        pytest.param(99, 1e-6, "unverified", "disturbed in 3 measurements", 30, id="never red"),
        pytest.param(99, 1e6, "passed", "<= 1e+06 ms", 10, id="green at once"),
    ],
)
def test_red_is_timed_again_and_unverified_if_it_was_always_disturbed(
    backend: Any,
    board: Board,
    *,
    disturbed: int,
    limit_ms: float,
    verdict: str,
    part: str,
    taken: int,
) -> None:
    folder = backend.bundle()
    backend.disturb(folder, runs=disturbed)
    backend.seal(folder)
    options = CheckOptions(target=board(p95_ms=limit_ms), allowed=Allowed(0.5, 1.1), seconds=0.01)
    checked = check_bundle(open_bundle(folder, "board"), LocalDevice(), options)
    case = next(case for case in checked.cases if case.name == "latency")
    assert part in case.reason
    assert checked.verdict == checked.as_json()["verdict"] == verdict
    assert checked.exit_code is (ExitCode.DONE if verdict == "passed" else ExitCode.LIMIT_MISSED)
    assert (backend.root / "runs").stat().st_size == taken


def test_red_that_another_measurement_does_not_confirm_is_green(
    backend: Any, board: Board, evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, fast = evidence(9.0), evidence()
    monkeypatch.setattr("edgetl.gate.check.measure", lambda *_, **__: slow)
    monkeypatch.setattr("edgetl.gate.check.time_again", lambda *_, **__: fast)
    options = CheckOptions(target=board(p95_ms=8.0), allowed=Allowed(0.5, 1.1), seconds=0.01)
    checked = check_bundle(open_bundle(backend.bundle(), "board"), LocalDevice(), options)
    case = next(case for case in checked.cases if case.name == "latency")
    assert (case.status, case.reason) == (Status.PASSED, "5 <= 8 ms")


def test_unverified_case_is_a_missed_limit_only_where_measured_figures_are_required() -> None:
    cases = [Case("files", Status.PASSED, ""), Case("latency", Status.UNVERIFIED, "")]
    assert exit_code(cases, Required.MEASURED) is ExitCode.LIMIT_MISSED
    assert exit_code(cases, Required.EMULATED) is ExitCode.DONE
    skipped = [Case("latency", Status.SKIPPED, "")]
    assert exit_code(skipped, Required.MEASURED) is ExitCode.DONE
    damaged = Case("files", Status.FAILED, "", exit_code=ExitCode.DAMAGED)
    assert exit_code([*cases, damaged], Required.MEASURED) is ExitCode.DAMAGED


@pytest.mark.parametrize("required", list(Required))
def test_accuracy_of_the_manifest_is_told_where_measured_figures_are_required(
    backend: Any, board: Board, tmp_path: Path, required: Required
) -> None:
    bundle = open_bundle(backend.bundle(), "board")
    images = find_images(bundle, backend.store)
    path = tmp_path / "baseline.json"
    write_baseline(make_baseline(bundle, images, None), path)

    def warnings(*, predict: bool) -> dict[str, str]:
        options = CheckOptions(
            target=board(top1=0.7, drop_pp=10.0),  # 60 images show no less
            allowed=Allowed(0.5, 1.1),
            required=required,
            baseline=path,
            images=images,
            predict=predict,
        )
        checked = check_bundle(bundle, LocalDevice(), options)
        assert checked.exit_code is ExitCode.DONE
        assert (MANIFEST in {case.provenance for case in checked.cases}) is not predict
        return {case.name: case.warning for case in checked.cases if case.warning}

    assert warnings(predict=True) == {}
    told = (
        "from the manifest, not from this device; check the recipe to let the device predict the "
        "test images"
    )
    assert warnings(predict=False) == (
        dict.fromkeys(("accuracy", "accuracy drop", "accuracy against baseline"), told)
        if required is Required.MEASURED
        else {}
    )


def test_baseline_with_damaged_answers_is_refused_before_anything_runs(
    backend: Any, board: Board, tmp_path: Path
) -> None:
    bundle = open_bundle(backend.bundle(), "board")
    images = find_images(bundle, backend.store)
    path = tmp_path / "baseline.json"
    write_baseline(make_baseline(bundle, images, None), path)
    path.write_text(path.read_text().replace('"data": "eN', '"data": "AA'))
    options = CheckOptions(
        target=board(), allowed=Allowed(0.5, 1.1), baseline=path, images=images, predict=True
    )
    with pytest.raises(ConfigError, match=r"accuracy\.predictions.logits: is damaged: Error -3"):
        check_bundle(bundle, _Untouched(), options)


def test_size_counts_the_files_that_the_manifest_names_as_the_model(backend: Any) -> None:
    folder = backend.bundle()
    (folder / "weights.bin").write_bytes(bytes(100))
    (folder / "model.txt").write_text("no part of the model")
    data = json.loads((folder / "manifest.json").read_text())
    data["model_files"].append("weights.bin")
    (folder / "manifest.json").write_text(json.dumps(data))
    backend.seal(folder)
    bundle = open_bundle(folder, "board")
    assert list(bundle.model_files()) == ["model.onnx", "weights.bin"]
    assert bundle.size_bytes() == (folder / "model.onnx").stat().st_size + 100


def test_manifest_of_another_edgetl_is_told_by_what_is_unknown(backend: Any) -> None:
    folder = backend.bundle()
    data = json.loads((folder / "manifest.json").read_text())
    data["accuracy"]["energy"] = 1.0
    (folder / "manifest.json").write_text(json.dumps(data))
    with pytest.raises(
        BundleError,
        match=r"was written by another version of edgetl than \S+, which does not know "
        r"'accuracy\.energy'\n",
    ) as caught:
        open_bundle(folder, "board")
    assert caught.value.remedy == "make the bundle again with this edgetl: edgetl run RECIPE"


def test_ladder_that_broke_where_the_bundle_was_made_is_told(
    backend: Any, evidence: Evidence
) -> None:
    bundle = open_bundle(backend.bundle(breaks_at="onnx fp32 to onnx int8"), "board")
    predictions, _ = golden_cases(bundle, evidence())
    assert predictions.warning == (
        "where it was made, parity with the trained model broke at onnx fp32 to onnx int8"
    )
