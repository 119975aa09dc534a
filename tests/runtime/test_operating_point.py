"""What a runtime does with thresholds of classes, and what one does that does not know them."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgetl.runtime import contract as contract_module
from edgetl.runtime.__main__ import main
from edgetl.runtime.contract import Contract
from edgetl.runtime.detections import Detections
from edgetl.runtime.errors import ContractError
from edgetl.runtime.predictor import Predictor
from edgetl.runtime.tasks.classification import ClassPrediction

StateFiles = Callable[[Path, Contract], None]
_THRESHOLDS = (0.5, 0.75, 0.9)
_LABELS = ("red", "green", "blue")


@pytest.fixture
def classifier(model_folder: Path, contract: Contract, state_files: StateFiles) -> Path:
    """A classifier that needs 0.5 for red, 0.75 for green, 0.9 for blue."""
    state_files(model_folder, dataclasses.replace(contract, class_thresholds=_THRESHOLDS))
    return model_folder


@pytest.fixture
def detector(detector_folder: Path, detector_contract: Contract, state_files: StateFiles) -> Path:
    """A detector that needs 0.3 for the first class, 0.6 for the second."""
    state_files(
        detector_folder, dataclasses.replace(detector_contract, class_thresholds=(0.3, 0.6))
    )
    return detector_folder


def _coloured(*colour: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.full((32, 32, 3), colour, np.uint8)


def test_thresholds_come_back_by_class_and_must_be_known(
    tmp_path: Path, contract: Contract
) -> None:
    given = dataclasses.replace(contract, class_thresholds=_THRESHOLDS)
    given.save(tmp_path)
    assert Contract.load(tmp_path) == given
    written = json.loads((tmp_path / "contract.json").read_text())
    assert written["operating_point"] == {
        "class_thresholds": {"red": 0.5, "green": 0.75, "blue": 0.9}
    }
    assert written["requires"] == ["class_thresholds"]


def test_contract_without_thresholds_requires_nothing(
    tmp_path: Path, contract: Contract, detector_contract: Contract
) -> None:
    for given in (contract, detector_contract):
        given.save(tmp_path)
        assert "requires" not in json.loads((tmp_path / "contract.json").read_text())


def test_runtime_that_does_not_know_thresholds_refuses_the_model(
    tmp_path: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataclasses.replace(contract, class_thresholds=_THRESHOLDS).save(tmp_path)
    # What the set was before there were thresholds.
    monkeypatch.setattr(contract_module, "_KNOWN_REQUIREMENTS", frozenset())
    message = "the model requires 'class_thresholds', which this runtime does not know"
    with pytest.raises(ContractError, match=message) as caught:
        Contract.load(tmp_path)
    assert caught.value.remedy == "use a newer edgetl.runtime"


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        pytest.param({"red": 0.5, "green": 0.5}, "class_thresholds.blue: is missing", id="missing"),
        pytest.param(
            {"red": 0.5, "green": "high", "blue": 0.5},
            "class_thresholds.green: must be int or float, not 'high'",
            id="text",
        ),
        pytest.param(
            {"red": 0.5, "green": 1.5, "blue": 0.5},
            "class_thresholds.green: is 1.5; must be in 0...1",
            id="above one",
        ),
        pytest.param([0.5, 0.5, 0.5], "class_thresholds: must be dict", id="list"),
    ],
)
def test_thresholds_that_make_no_sense_are_refused(
    tmp_path: Path, contract: Contract, thresholds: object, message: str
) -> None:
    contract.save(tmp_path)
    path = tmp_path / "contract.json"
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "operating_point": {"class_thresholds": thresholds}}))
    with pytest.raises(ContractError, match=re.escape(f"operating_point.{message}")):
        Contract.load(tmp_path)


@pytest.mark.parametrize(
    ("colour", "label"),
    [
        # exp(2) / (exp(2) + 2) = 0.787
        pytest.param((200, 0, 0), "red", id="above 0.5"),
        pytest.param((0, 200, 0), "green", id="above 0.75"),
        pytest.param((0, 0, 200), None, id="below 0.9"),
    ],
)
def test_class_below_its_threshold_is_unsure(
    classifier: Path, colour: tuple[int, int, int], label: str | None
) -> None:
    prediction = Predictor.open(classifier).predict_array(_coloured(*colour))
    assert isinstance(prediction, ClassPrediction)
    assert (prediction.label, prediction.unsure) == (label, label is None)
    assert prediction.index == (None if label is None else _LABELS.index(label))
    assert max(prediction.probabilities) == pytest.approx(0.786986, abs=1e-5)
    best = label or "blue"
    text = f"{best} 0.7870"
    assert prediction.lines(_LABELS, None) == [text if label else f"unsure ({text})"]
    row = prediction.row(_LABELS, None)
    assert row["label"] == label
    assert json.loads(json.dumps(row))["top"][0]["label"] == best


def test_probability_that_equals_its_threshold_counts(
    classifier: Path, contract: Contract, state_files: StateFiles
) -> None:
    prediction = Predictor.open(classifier).predict_array(_coloured(0, 0, 200))
    assert isinstance(prediction, ClassPrediction)
    exact = prediction.probabilities[2]
    for threshold, label in ((exact, "blue"), (np.nextafter(exact, 1.0), None)):
        thresholds = (0.0, 0.0, float(threshold))
        state_files(classifier, dataclasses.replace(contract, class_thresholds=thresholds))
        again = Predictor.open(classifier).predict_array(_coloured(0, 0, 200))
        assert isinstance(again, ClassPrediction)
        assert again.label == label


def test_unsure_is_no_class_even_if_one_is_called_so(
    model_folder: Path, contract: Contract, state_files: StateFiles
) -> None:
    labels = ("red", "green", "unsure")
    given = dataclasses.replace(contract, labels=labels, class_thresholds=_THRESHOLDS)
    state_files(model_folder, given)
    predictor = Predictor.open(model_folder)
    unsure = predictor.predict_array(_coloured(0, 0, 200))
    named = predictor.with_threshold(0.0).predict_array(_coloured(0, 0, 200))
    assert (unsure.row(labels, None)["label"], named.row(labels, None)["label"]) == (None, "unsure")
    assert unsure.lines(labels, None) == ["unsure (unsure 0.7870)"]
    assert named.lines(labels, None) == ["unsure 0.7870"]


def test_threshold_of_the_caller_takes_the_place_of_all(classifier: Path) -> None:
    predictor = Predictor.open(classifier)
    for threshold, labels in ((0.7, ["red", "green", "blue"]), (0.8, [None] * 3)):
        used = predictor.with_threshold(threshold)
        rows = [
            used.predict_array(_coloured(*(200 * (i == k) for i in range(3)))).row(_LABELS, None)
            for k in range(3)
        ]
        assert [row["label"] for row in rows] == labels
    with pytest.raises(ValueError, match=r"the threshold is 1.5; must be in 0\.\.\.1"):
        predictor.with_threshold(1.5)


def test_command_prints_and_draws_what_is_unsure(
    classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "blue.png"
    Image.fromarray(_coloured(0, 0, 200)).resize((160, 160)).save(image)
    words = ["predict", str(classifier), str(image)]
    assert main(words) == 0
    assert capsys.readouterr().out == f"{image}: unsure (blue 0.7870)\n"
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["label"] is None
    assert main([*words, "--threshold", "0.5", "--draw", str(tmp_path / "sure")]) == 0
    assert capsys.readouterr().out.startswith(f"{image}: blue 0.7870\n")
    assert main([*words, "--draw", str(tmp_path / "unsure")]) == 0
    drawn = [
        np.asarray(Image.open(tmp_path / name / "blue.drawn.jpg")) for name in ("sure", "unsure")
    ]
    assert (drawn[0] != drawn[1]).any()


def test_detection_below_the_threshold_of_its_class_is_not_reported(detector: Path) -> None:
    predictor = Predictor.open(detector)
    # Scores of red: 0.8 and 1 of its mean; of blue: its mean. 127.5 is one half.
    both = predictor.predict_array(_coloured(128, 0, 128))
    assert isinstance(both, Detections)
    assert both.labels.tolist() == [0]
    more = predictor.predict_array(_coloured(128, 0, 200))
    assert isinstance(more, Detections)
    assert more.labels.tolist() == [1, 0]
    again = predictor.with_threshold(0.3).predict_array(_coloured(128, 0, 128))
    assert isinstance(again, Detections)
    assert sorted(again.labels.tolist()) == [0, 1]


def test_detections_at_least_their_thresholds_by_hand() -> None:
    boxes = np.arange(16, dtype=np.float32).reshape(4, 4)
    scores = np.array([0.9, 0.8, 0.5, 0.3], np.float32)
    given = Detections(boxes, scores, np.array([0, 1, 0, 1]))
    kept = given.at_least((0.5, 0.81))
    assert kept.boxes.tolist() == boxes[[0, 2]].tolist()
    assert kept.scores.tolist() == scores[[0, 2]].tolist()
    assert kept.labels.tolist() == [0, 0]
