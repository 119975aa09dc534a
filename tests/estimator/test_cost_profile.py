"""A cost profile is a file: validated, written atomically and reproducibly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgetl.errors import ConfigError
from edgetl.estimator.cost_profile import CostProfile, load_profile, save_profile
from edgetl.types import Precision


def test_profile_can_be_saved_and_loaded(tmp_path: Path, profile: CostProfile) -> None:
    path = tmp_path / "profiles" / "board.json"
    save_profile(profile, path)

    assert load_profile(path) == profile
    assert [each.name for each in path.parent.iterdir()] == ["board.json"]
    first = path.read_bytes()
    save_profile(profile, path)
    assert path.read_bytes() == first


def test_failed_write_keeps_only_the_old_file(
    tmp_path: Path, profile: CostProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "board.json"
    path.write_text("old")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_profile(profile, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_fit_is_selected_by_format_and_precision(profile: CostProfile) -> None:
    fit = profile.fit("onnx", Precision.INT8)
    assert fit is not None
    assert fit.precision is Precision.INT8
    assert profile.fit("tflite", Precision.INT8) is None


def test_disturbed_networks_are_named(profile: CostProfile) -> None:
    assert list(profile.disturbed()) == ["onnx fp32 two", "onnx int8 two"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 1}, "schema_version: Input should be 2"),
        ({"schema_version": 3}, "schema_version: Input should be 2"),
        ({"threads": 0}, "threads: Input should be greater than or equal to 1"),
        ({"fits": []}, "fits: Tuple should have at least 1 item"),
        ({"date": "today"}, "date: Extra inputs are not permitted"),
    ],
    ids=["old schema", "new schema", "threads", "empty", "unknown key"],
)
def test_invalid_profile_is_refused(
    tmp_path: Path, profile: CostProfile, change: dict[str, object], message: str
) -> None:
    path = tmp_path / "board.json"
    path.write_text(json.dumps({**profile.model_dump(mode="json"), **change}))
    with pytest.raises(ConfigError, match=message) as caught:
        load_profile(path)
    assert caught.value.remedy == f"make it again: edgetl profile --target NAME --out {path}"


def test_missing_profile_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.json"
    with pytest.raises(ConfigError, match=r"none\.json: no such file") as caught:
        load_profile(path)
    assert caught.value.remedy == f"edgetl profile --target NAME --out {path}"


def test_missing_profile_of_a_target_names_the_target() -> None:
    with pytest.raises(ConfigError, match=r"profiles/far\.json: no such file") as caught:
        load_profile(Path("profiles/far.json"))
    assert caught.value.remedy == "edgetl profile --target far --out profiles/far.json"
