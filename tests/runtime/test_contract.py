from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from edgetl.runtime.contract import Contract, OutputSpec
from edgetl.runtime.errors import ContractError


def test_saved_contract_comes_back_equal(tmp_path: Path, contract: Contract) -> None:
    contract.save(tmp_path)
    assert Contract.load(tmp_path) == contract


def test_labels_lie_beside_one_per_line(tmp_path: Path, contract: Contract) -> None:
    dataclasses.replace(
        contract, labels=("a", "ü"), outputs=(OutputSpec("logits", "x", (1, 2)),)
    ).save(tmp_path)
    assert (tmp_path / "labels.txt").read_bytes() == "a\nü\n".encode()


def test_equal_contracts_give_equal_bytes(tmp_path: Path, contract: Contract) -> None:
    contract.save(tmp_path)
    before = (tmp_path / "contract.json").read_bytes()
    Contract.load(tmp_path).save(tmp_path)
    assert (tmp_path / "contract.json").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"schema": 3}, "schema: is 3; this runtime reads 1 and 2", id="schema"),
        pytest.param({"colour": "bgr"}, "colour: is not a key that this runtime knows", id="extra"),
        pytest.param({"labels": None}, "labels: must be list, not None", id="no list"),
        pytest.param({"labels": ["a", 1, "c"]}, "labels: must hold str only, not 1", id="label"),
        pytest.param({"input": []}, "input: must be dict, not []", id="no table"),
        pytest.param(
            {"input": {"name": "image", "height": True, "width": 32}},
            "input.height: must be int, not True",
            id="truth is no height",
        ),
        pytest.param(
            {"input": {"name": "image", "height": 32}}, "input.width: is missing", id="key"
        ),
        pytest.param(
            {"preprocess": {"height": 32, "width": 32, "fit": "zoom", "filter": "area", "pad": 0}},
            "preprocess: unknown fit 'zoom'",
            id="fit",
        ),
        pytest.param(
            {"input": {"name": "image", "height": 64, "width": 32}},
            "preprocess: makes (32, 32), but the input is (64, 32)",
            id="sizes",
        ),
        pytest.param({"file": "../model.onnx"}, "file: is '../model.onnx'", id="outside"),
        pytest.param(
            {"task": "segmentation"},
            "task: is 'segmentation'; this runtime knows classification, detection",
            id="task",
        ),
        pytest.param(
            {"nms": {"score_threshold": 0.3, "iou": 1, "max_detections": 9, "mode": "per-class"}},
            "nms: is of no use to classification; only to detection",
            id="nms",
        ),
        pytest.param(
            {"labels": ["a", "b"]},
            "outputs: are {'logits': (1, 3)}; classification has {'logits': (1, 2)}",
            id="outputs",
        ),
    ],
)
def test_wrong_contract_is_refused_by_key(
    tmp_path: Path, contract: Contract, change: dict[str, Any], message: str
) -> None:
    contract.save(tmp_path)
    path = tmp_path / "contract.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ContractError, match=re.escape(message)) as caught:
        Contract.load(tmp_path)
    assert caught.value.exit_code == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            {"nms": {"score_threshold": 0.3, "iou": 0.5, "max_detections": 9}},
            "nms.mode: is missing",
            id="mode",
        ),
        pytest.param(
            {
                "nms": {
                    "score_threshold": "low",
                    "iou": 0.5,
                    "max_detections": 9,
                    "mode": "per-class",
                }
            },
            "nms.score_threshold: must be int or float, not 'low'",
            id="score",
        ),
        pytest.param(
            {"nms": {"score_threshold": 0.3, "iou": 0.5, "max_detections": 9, "mode": "soft"}},
            "nms: unknown mode 'soft'; known: class-aware, per-class, class-agnostic",
            id="unknown mode",
        ),
        pytest.param(
            {"nms": {"score_threshold": 0.3, "iou": 2, "max_detections": 9, "mode": "per-class"}},
            "nms: score_threshold 0.3, iou 2.0, max_detections 9: needs a score_threshold and an",
            id="iou",
        ),
        pytest.param(
            {
                "nms": {
                    "score_threshold": 0.3,
                    "iou": 1,
                    "max_detections": 9,
                    "mode": "per-class",
                    "soft": 1,
                }
            },
            "nms.soft: is not a key that this runtime knows",
            id="extra",
        ),
        pytest.param({"labels": ["a"]}, "'scores': (1, 3, 1)}", id="classes"),
        pytest.param(
            {"outputs": [{"name": "boxes", "tensor": "b", "shape": [1, 3, 4]}]},
            "outputs: are {'boxes': (1, 3, 4)}; detection has "
            "{'boxes': (1, 3, 4), 'scores': (1, 3, 2)}",
            id="no scores",
        ),
        pytest.param(
            {
                "outputs": [
                    {"name": "boxes", "tensor": "b", "shape": [1, 3, 4]},
                    {"name": "scores", "tensor": "s", "shape": [1, 5, 2]},
                ]
            },
            "detection has {'boxes': (1, 3, 4), 'scores': (1, 3, 2)}",
            id="other number of scores",
        ),
        pytest.param(
            {
                "outputs": [
                    {"name": "boxes", "tensor": "b", "shape": [1, 0, 4]},
                    {"name": "scores", "tensor": "s", "shape": [1, 0, 2]},
                ]
            },
            "outputs: are {'boxes': (1, 0, 4)",
            id="no locations",
        ),
        pytest.param(
            {"outputs": [{"name": "boxes", "tensor": "b", "shape": []}]},
            "outputs: are {'boxes': ()}; detection has {'boxes': (1, 1, 4)",
            id="no shape",
        ),
    ],
)
def test_wrong_contract_of_a_detector_is_refused_by_key(
    tmp_path: Path, detector_contract: Contract, change: dict[str, Any], message: str
) -> None:
    detector_contract.save(tmp_path)
    path = tmp_path / "contract.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ContractError, match=re.escape(message)):
        Contract.load(tmp_path)


def test_detector_without_nms_is_refused(tmp_path: Path, detector_contract: Contract) -> None:
    dataclasses.replace(detector_contract, nms=None).save(tmp_path)
    with pytest.raises(ContractError, match="nms: is missing; detection needs it"):
        Contract.load(tmp_path)


def test_saved_contract_of_a_detector_comes_back_equal(
    tmp_path: Path, detector_contract: Contract
) -> None:
    detector_contract.save(tmp_path)
    assert Contract.load(tmp_path) == detector_contract
    assert json.loads((tmp_path / "contract.json").read_text())["nms"] == {
        "score_threshold": 0.3,
        "iou": 0.5,
        "max_detections": 10,
        "mode": "class-aware",
    }


def test_contract_from_before_anchors_centres_the_image(tmp_path: Path, contract: Contract) -> None:
    contract.save(tmp_path)
    path = tmp_path / "contract.json"
    data = json.loads(path.read_text())
    del data["preprocess"]["anchor"]
    path.write_text(json.dumps(data))
    assert Contract.load(tmp_path).preprocess.anchor == "centre"


def test_missing_key_is_refused_by_name(tmp_path: Path, contract: Contract) -> None:
    contract.save(tmp_path)
    path = tmp_path / "contract.json"
    data = json.loads(path.read_text())
    del data["precision"]
    path.write_text(json.dumps(data))
    with pytest.raises(ContractError, match="precision: is missing"):
        Contract.load(tmp_path)


def test_torn_contract_is_refused(tmp_path: Path, contract: Contract) -> None:
    contract.save(tmp_path)
    path = tmp_path / "contract.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(ContractError, match=r"contract\.json cannot be read"):
        Contract.load(tmp_path)


def test_folder_without_a_contract_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"has no contract\.json"):
        Contract.load(tmp_path)


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"none is not a folder"):
        Contract.load(tmp_path / "none")


def test_provider_is_written_only_where_it_is_not_the_cpu(
    tmp_path: Path, contract: Contract
) -> None:
    contract.save(tmp_path)
    assert "provider" not in json.loads((tmp_path / "contract.json").read_text())
    on_gpu = dataclasses.replace(contract, provider="cuda")
    on_gpu.save(tmp_path)
    assert json.loads((tmp_path / "contract.json").read_text())["provider"] == "cuda"
    assert Contract.load(tmp_path) == on_gpu
