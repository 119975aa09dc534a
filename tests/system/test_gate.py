"""From a finished run to a baseline, a green check, and a red one, as CI calls them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from defusedxml.ElementTree import parse

_FAST = ["--seconds", "0.02"]


@pytest.fixture
def baseline(finished: Path, edgetl: Callable[..., Any]) -> Path:
    done = edgetl(finished, "baseline", "update", "recipe.yaml")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("baseline.json: tiny for host, top1 0.")
    return finished / "baseline.json"


def test_unchanged_recipe_is_green_and_its_device_answers_the_test_images(
    finished: Path, baseline: Path, edgetl: Callable[..., Any]
) -> None:
    done = edgetl(
        finished, "check", "recipe.yaml", "--target", "host", "--baseline", baseline.name,
        "--max-ratio", "50", "--junit", "check.xml", "--json", *_FAST,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    facts = json.loads(done.stdout)
    cases = {case["name"]: case for case in facts["cases"]}
    assert "failed" not in {case["status"] for case in cases.values()}
    assert cases["accuracy"]["provenance"] == "measured"
    assert cases["accuracy against baseline"]["figures"]["lost_pp"] == 0.0
    suite = parse(finished / "check.xml").getroot()[0]
    assert [case.attrib["name"] for case in suite.iter("testcase")] == list(cases)
    assert suite.attrib["failures"] == "0"


def test_bundle_alone_is_checked_by_its_own_runtime(
    finished: Path, edgetl: Callable[..., Any]
) -> None:
    done = edgetl(finished, "check", "dist/host", "--target", "host", *_FAST)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("passed: ")


def test_limit_that_is_set_later_turns_the_check_red(
    finished: Path, edgetl: Callable[..., Any], quieten: Callable[[Path], None]
) -> None:
    quieten(finished / "dist" / "host")
    target = finished / "targets" / "host.yaml"
    target.write_text(target.read_text().replace("drop_pp: 100", "drop_pp: 100, p95_ms: 0.0001"))
    done = edgetl(finished, "check", "dist/host", "--target", "host", *_FAST)
    assert done.returncode == 5, done.stderr
    red = [line for line in done.stdout.splitlines() if " FAILED " in line]
    assert len(red) == 1
    assert red[0].startswith("latency ")


def test_damaged_bundle_is_told_from_a_missed_limit(
    finished: Path, edgetl: Callable[..., Any]
) -> None:
    model = finished / "dist" / "host" / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1])
    done = edgetl(finished, "check", "dist/host", "--target", "host")
    assert done.returncode == 6
    assert "'model.onnx' was changed" in done.stdout


def test_device_that_cannot_be_reached_has_its_own_exit_code(
    finished: Path, edgetl: Callable[..., Any]
) -> None:
    pytest.importorskip("asyncssh")
    done = edgetl(
        finished, "check", "dist/host", "--target", "host", "--device", "ssh://nobody@127.0.0.1:1",
        "--junit", "check.xml",
    )  # fmt: skip
    assert done.returncode == 7, done.stderr
    assert "ssh://nobody@127.0.0.1:1" in done.stderr
    assert done.stdout == ""
    (case,) = parse(finished / "check.xml").getroot().iter("testcase")
    assert case.attrib["name"] == "device"
    assert "ssh://nobody@127.0.0.1:1" in case.find("error").text


def test_board_beside_another_machine_answers_the_test_images_from_the_store_alone(
    finished: Path, tmp_path_factory: pytest.TempPathFactory, edgetl: Callable[..., Any]
) -> None:
    folder = tmp_path_factory.mktemp("measure")
    for name in (".edgetl", "targets", "calibration"):
        shutil.copytree(finished / name, folder / name)
    shutil.copy(finished / "recipe.yaml", folder)
    words = ["--target", "host", "--json", *_FAST]
    done = edgetl(folder, "check", "recipe.yaml", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    cases = {case["name"]: case for case in json.loads(done.stdout)["cases"]}
    assert (cases["accuracy"]["provenance"], cases["accuracy"]["warning"]) == ("measured", "")
    done = edgetl(finished, "check", "dist/host", *words)
    cases = {case["name"]: case for case in json.loads(done.stdout)["cases"]}
    assert cases["accuracy"]["provenance"] == "manifest"
    assert cases["accuracy"]["warning"].startswith("from the manifest, not from this device")


def test_edited_baseline_ends_in_one_paragraph(
    finished: Path, baseline: Path, edgetl: Callable[..., Any]
) -> None:
    data = json.loads(baseline.read_text())
    del data["accuracy"]["predictions"]["logits"]
    baseline.write_text(json.dumps(data))
    done = edgetl(
        finished, "check", "dist/host", "--target", "host", "--baseline", baseline.name, *_FAST
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.splitlines() == [
        (
            "edgetl: baseline.json: accuracy.predictions: has nothing; the predictions of this "
            "model are logits"
        ),
        (
            "  restore it, for example with: git checkout -- baseline.json; written from this "
            "bundle, it would hide what has become worse"
        ),
    ]
