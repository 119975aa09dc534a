"""A baseline holds what a later check needs, and says when it belongs to something else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgetl.errors import ConfigError
from edgetl.evaluation import Answers
from edgetl.gate.baseline import make_baseline, pack, read_baseline, unpack, write_baseline
from edgetl.gate.bundle import Bundle, find_photos, open_bundle

_TIMED = {
    "provenance": "measured",
    "threads": 1,
    "model_ms": {"p50": {"value": 1.0, "low": 0.9, "high": 1.1}},
    "host": {"processor": "A72"},
    "interfered": False,
}


@pytest.fixture
def bundle(workshop: Any) -> Bundle:
    return open_bundle(workshop.bundle(), "board")


@pytest.fixture
def file(workshop: Any, bundle: Bundle, tmp_path: Path) -> Path:
    path = tmp_path / "kept" / "baseline.json"
    write_baseline(make_baseline(bundle, find_photos(bundle, workshop.store), None), path)
    return path


def test_written_baseline_is_read_again_and_small(bundle: Bundle, file: Path) -> None:
    baseline = read_baseline(file, bundle)
    assert (baseline.name, baseline.target, baseline.candidate) == ("colours", "board", "onnx fp32")
    assert baseline.labels == ("red", "green", "blue")
    assert baseline.accuracy.value == 0.9
    assert baseline.size_bytes == (bundle.folder / "model.onnx").stat().st_size
    assert list(baseline.model) == ["model.onnx"]
    assert file.stat().st_size < 2000


def test_same_figures_give_equal_bytes(workshop: Any, bundle: Bundle, file: Path) -> None:
    before = file.read_bytes()
    write_baseline(make_baseline(bundle, find_photos(bundle, workshop.store), None), file)
    assert file.read_bytes() == before


def test_logits_are_kept_as_their_largest_and_other_answers_exactly() -> None:
    answers: Answers = {
        "logits": np.array([[0.1, 3.0], [2.0, -1.0]], np.float32),
        "boxes": np.array([[0.1, 0.2, 0.3, 0.4]], np.float32),
        "offsets": np.array([0, 1], np.int64),
    }
    found = unpack(pack(answers), "baseline.json")
    assert found["logits"].tolist() == [[0, 1], [1, 0]]
    assert np.array_equal(found["boxes"], answers["boxes"])
    assert found["offsets"].dtype == np.int64


def test_manifest_gives_its_measured_undisturbed_times(bundle: Bundle) -> None:
    path = bundle.folder / "manifest.json"
    data = json.loads(path.read_text())
    for changes, there in (
        ({}, True),
        ({"interfered": True}, False),
        ({"provenance": "emulated"}, False),
    ):
        path.write_text(json.dumps(data | {"latency": _TIMED | changes}))
        latency = make_baseline(open_bundle(bundle.folder, ""), None, None).latency
        assert (latency is not None) is there


def test_photos_of_another_store_are_not_at_hand(bundle: Bundle, tmp_path: Path) -> None:
    from edgetl.store.store import Store

    assert find_photos(bundle, Store(tmp_path / "elsewhere")) is None
    assert make_baseline(bundle, None, None).accuracy.answers is None


def test_missing_file_is_said_with_the_command_that_writes_it(
    bundle: Bundle, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.json: no such file") as error:
        read_baseline(tmp_path / "nothing.json", bundle)
    assert error.value.remedy == (
        f"edgetl baseline update {bundle.folder} --out {tmp_path / 'nothing.json'}"
    )


def test_baseline_of_another_model_and_target_is_refused(bundle: Bundle, file: Path) -> None:
    data = json.loads(file.read_text())
    file.write_text(json.dumps(data | {"name": "parts", "target": "rpi4"}))
    with pytest.raises(
        ConfigError, match="name: is 'parts', but the bundle's is 'colours'"
    ) as error:
        read_baseline(file, bundle)
    assert "target: is 'rpi4', but the bundle's is 'board'" in error.value.message
    assert error.value.remedy.startswith("give the baseline of this model, or write it anew: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "json"), ('{"version": 2}', r"version: input should be 1")],
    ids=["torn", "version"],
)
def test_file_that_is_no_baseline_is_refused(
    bundle: Bundle, file: Path, text: str, message: str
) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError, match=message) as error:
        read_baseline(file, bundle)
    assert error.value.remedy == "write it anew: edgetl baseline update BUNDLE"


def test_damaged_answers_are_refused(bundle: Bundle, file: Path) -> None:
    data = json.loads(file.read_text())
    data["accuracy"]["answers"]["logits"]["data"] = "AAAA"
    file.write_text(json.dumps(data))
    answers = read_baseline(file, bundle).accuracy.answers
    assert answers is not None
    with pytest.raises(ConfigError, match=r"accuracy\.answers\.logits: is damaged"):
        unpack(answers, "baseline.json")
