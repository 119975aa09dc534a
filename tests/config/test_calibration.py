"""What a calibration recipe may ask of int8."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgetl.config.calibration import Calibration, FloatTable, Int8Table, RangeTable
from edgetl.config.load import load_calibration
from edgetl.errors import ConfigError


def calibration(**fields: object) -> Calibration:
    given = {"name": "some", "split": "train", "count": 24, "sampling": "random", **fields}
    return Calibration.model_validate(given)


def test_silent_recipe_reaches_all_values_and_leaves_nothing_in_float() -> None:
    found = calibration().int8

    assert found == Int8Table(
        range=RangeTable(estimator="minmax"), float_layers=FloatTable(tail=False, convolutions=0)
    )
    assert not found.searches


@pytest.mark.parametrize(
    ("fields", "searches"),
    [
        ({"range": {"estimator": "best"}}, True),
        ({"float_layers": {"convolutions": 1}}, True),
        ({"float_layers": {"tail": True}}, False),
        ({"range": {"estimator": "mse"}}, False),
    ],
)
def test_only_a_choice_between_files_holds_images_out(
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

    with pytest.raises(ConfigError, match=r"count: 7 images are too few to hold some out.*least 8"):
        load_calibration("few")


def test_recipe_for_detectors_searches_and_keeps_their_tail_in_float() -> None:
    found = load_calibration("detection-100").int8

    assert found.range.estimator == "best"
    assert found.float_layers == FloatTable(tail=True, convolutions=2)
