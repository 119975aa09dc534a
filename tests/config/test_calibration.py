"""Calibration recipes and their int8 settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgetl.config.calibration import Calibration, FloatTable, Int8Table, RangeTable
from edgetl.config.load import load_calibration
from edgetl.errors import ConfigError


def calibration(**fields: object) -> Calibration:
    table = {"name": "some", "split": "train", "count": 24, "sampling": "random", **fields}
    return Calibration.model_validate(table)


def test_default_is_minmax_with_nothing_in_float() -> None:
    settings = calibration().int8

    assert settings == Int8Table(
        range=RangeTable(estimator="minmax"), float_layers=FloatTable(tail=False, convolutions=0)
    )
    assert not settings.searches


@pytest.mark.parametrize(
    ("fields", "searches"),
    [
        ({"range": {"estimator": "best"}}, True),
        ({"float_layers": {"convolutions": 1}}, True),
        ({"float_layers": {"tail": True}}, False),
        ({"range": {"estimator": "mse"}}, False),
    ],
)
def test_images_are_held_out_only_for_a_search(
    fields: dict[str, object],
    searches: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert calibration(**fields).int8.searches is searches


@pytest.mark.parametrize(
    "sampling",
    ["range: {estimator: best}", "float_layers: {convolutions: 2}"],
    ids=["best", "kept"],
)
def test_too_few_images_to_hold_some_out_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sampling: str
) -> None:
    text = f"name: few\nsplit: train\ncount: 7\nsampling: random\n{sampling}\n"
    (tmp_path / "calibration").mkdir()
    (tmp_path / "calibration" / "few.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(
        ConfigError, match=r"count: 7 images are too few for `estimator: best`.*least 8"
    ):
        load_calibration("few")


def test_recipe_for_detectors_searches_and_keeps_their_tail_in_float() -> None:
    settings = load_calibration("detection-100").int8

    assert settings.range.estimator == "best"
    assert settings.float_layers == FloatTable(tail=True, convolutions=2)


@pytest.mark.parametrize(
    "search", [{"range": {"estimator": "best"}}, {"float_layers": {"convolutions": 2}}]
)
def test_search_does_not_go_with_fewer_images_than_stated(search: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="allow_fewer: goes neither with `estimator: best` nor"):
        calibration(allow_fewer=True, **search)
