from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from edgetl.runtime.contract import Contract, OutputSpec
from edgetl.runtime.detections import NmsSettings
from edgetl.runtime.errors import ContractError, EdgetlUsageError
from edgetl.runtime.inputs import ImageInput, TokensInput
from edgetl.runtime.model_files import ModelFile
from edgetl.runtime.preprocess import Preprocess


def test_saved_contract_comes_back_equal(tmp_path: Path, contract: Contract) -> None:
    contract.save(tmp_path)
    assert Contract.load(tmp_path) == contract


def test_labels_lie_beside_one_per_line(tmp_path: Path, contract: Contract) -> None:
    dataclasses.replace(
        contract, labels=("a", "ü"), outputs=(OutputSpec("logits", "x", (1, 2), "logits"),)
    ).save(tmp_path)
    assert (tmp_path / "labels.txt").read_bytes() == "a\nü\n".encode()


def test_equal_contracts_give_equal_bytes(tmp_path: Path, contract: Contract) -> None:
    contract.save(tmp_path)
    before = (tmp_path / "contract.json").read_bytes()
    Contract.load(tmp_path).save(tmp_path)
    assert (tmp_path / "contract.json").read_bytes() == before


_IMAGE: dict[str, Any] = {
    "name": "image", "tensor": "image", "kind": "image",
    "height": 32, "width": 32, "fit": "letterbox", "filter": "bilinear", "pad": 0,
}  # fmt: skip
_NMS: dict[str, Any] = {
    "score_threshold": 0.3, "iou": 0.5, "max_detections": 9, "mode": "per-class",
}  # fmt: skip


def _image(**change: Any) -> dict[str, Any]:
    return {"inputs": [{**_IMAGE, **change}]}


def _boxes(*shape: int) -> dict[str, Any]:
    return {"name": "boxes", "tensor": "b", "shape": shape, "kind": "boxes"}


def _scores(*shape: int) -> dict[str, Any]:
    return {"name": "scores", "tensor": "s", "shape": shape, "kind": "scores"}


def _without(table: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name != key}


def _rewrite(folder: Path, contract: Contract, change: dict[str, Any]) -> None:
    contract.save(folder)
    path = folder / "contract.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"schema": 3}, "schema: is 3; this runtime reads 1 and 2", id="schema"),
        pytest.param({"labels": None}, "labels: must be list, not None", id="no list"),
        pytest.param({"labels": ["a", 1, "c"]}, "labels: must contain only str, not 1", id="label"),
        pytest.param({"files": []}, "files: is empty", id="no files"),
        pytest.param(
            {"files": [{"name": "model.onnx", "sha256": "0"}]},
            "files.0.size_bytes: is missing",
            id="no size",
        ),
        pytest.param(
            {"files": [{"name": "model.onnx", "size_bytes": 1}]},
            "files.0.sha256: is missing",
            id="no digest",
        ),
        pytest.param(
            {"files": [{"name": "../model.onnx", "size_bytes": 1, "sha256": "0"}]},
            "files.0.name: is '../model.onnx'; must be a name without a folder",
            id="outside",
        ),
        pytest.param({"inputs": []}, "inputs: is empty", id="no inputs"),
        pytest.param(
            {"inputs": [_IMAGE, _IMAGE]}, "inputs: names one twice: image, image", id="twice"
        ),
        pytest.param({"inputs": [7]}, "inputs: must contain only dict, not 7", id="no table"),
        pytest.param(
            _image(kind="sound"),
            "inputs.0.kind: is 'sound'; this runtime knows image, tokens",
            id="kind",
        ),
        pytest.param(
            _image(height=True), "inputs.0.height: must be int, not True", id="truth is no height"
        ),
        pytest.param(
            {"inputs": [_without(_IMAGE, "width")]}, "inputs.0.width: is missing", id="key"
        ),
        pytest.param(_image(fit="zoom"), "inputs.0: unknown fit 'zoom'", id="fit"),
        pytest.param(
            {"inputs": [{"name": "a", "tensor": "a", "kind": "tokens", "length": 0}]},
            "inputs.0: length 0: must be at least 1",
            id="length",
        ),
        pytest.param(
            {
                "inputs": [
                    {"name": "a", "tensor": "a", "kind": "tokens", "length": 4, "dtype": "float32"}
                ]
            },
            "inputs.0: dtype 'float32': tokens are int32 or int64",
            id="dtype of tokens",
        ),
        pytest.param(
            {"task": "segmentation"},
            "task: is 'segmentation'; this runtime knows classification, detection",
            id="task",
        ),
        pytest.param(
            {"operating_point": {"nms": _NMS}},
            "operating_point.nms: is only for detectors; the model is a classifier",
            id="nms",
        ),
        pytest.param(
            {"labels": ["a", "b"]},
            "outputs: are {'logits': (1, 3)}; a classifier has logits or probabilities of shape "
            "(1, 2)",
            id="outputs",
        ),
        pytest.param(
            {"outputs": [{"name": "a", "tensor": "a", "shape": [1, 3], "kind": "scores"}]},
            "outputs: are {'scores': (1, 3)}",
            id="kind of output",
        ),
        pytest.param(
            {"requires": ["n-grams"]},
            "the model requires 'n-grams', which this runtime does not know",
            id="requirement",
        ),
    ],
)
def test_wrong_contract_is_refused_by_key(
    tmp_path: Path, contract: Contract, change: dict[str, Any], message: str
) -> None:
    _rewrite(tmp_path, contract, change)
    with pytest.raises(ContractError, match=re.escape(message)) as caught:
        Contract.load(tmp_path)
    assert caught.value.exit_code == 6


def test_unknown_requirement_advises_a_newer_runtime(tmp_path: Path, contract: Contract) -> None:
    _rewrite(tmp_path, contract, {"requires": ["n-grams"]})
    with pytest.raises(ContractError, match="requires 'n-grams'") as caught:
        Contract.load(tmp_path)
    assert caught.value.remedy == "use a newer edgetl.runtime"


def test_optional_keys_of_a_later_edgetl_are_ignored(tmp_path: Path, contract: Contract) -> None:
    change = {
        "requires": [],
        "colour": "bgr",
        "operating_point": {"unsure": 0.5},
        **_image(mean=[0.5, 0.5, 0.5], tokenizer_files=["words.txt"]),
    }
    _rewrite(tmp_path, contract, change)
    assert Contract.load(tmp_path) == contract


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            {"operating_point": {"nms": _without(_NMS, "mode")}},
            "operating_point.nms.mode: is missing",
            id="mode",
        ),
        pytest.param(
            {"operating_point": {"nms": {**_NMS, "score_threshold": "low"}}},
            "operating_point.nms.score_threshold: must be int or float, not 'low'",
            id="score",
        ),
        pytest.param(
            {"operating_point": {"nms": {**_NMS, "mode": "soft"}}},
            "operating_point.nms: unknown mode 'soft'; known: class-aware, per-class, "
            "class-agnostic",
            id="unknown mode",
        ),
        pytest.param(
            {"operating_point": {"nms": {**_NMS, "iou": 2}}},
            "operating_point.nms: score_threshold 0.3, iou 2.0, max_detections 9: needs a",
            id="iou",
        ),
        pytest.param({"labels": ["a"]}, "'scores': (1, 3, 1)}", id="classes"),
        pytest.param(
            {"outputs": [_boxes(1, 3, 4)]},
            "outputs: are {'boxes': (1, 3, 4)}; a detector has "
            "{'boxes': (1, 3, 4), 'scores': (1, 3, 2)}",
            id="no scores",
        ),
        pytest.param(
            {"outputs": [_boxes(1, 3, 4), _scores(1, 5, 2)]},
            "a detector has {'boxes': (1, 3, 4), 'scores': (1, 3, 2)}",
            id="other number of scores",
        ),
        pytest.param(
            {"outputs": [_boxes(1, 0, 4), _scores(1, 0, 2)]},
            "outputs: are {'boxes': (1, 0, 4)",
            id="no locations",
        ),
        pytest.param(
            {"outputs": [_boxes()]},
            "outputs: are {'boxes': ()}; a detector has {'boxes': (1, 1, 4)",
            id="no shape",
        ),
        pytest.param(
            {"inputs": [{"name": "a", "tensor": "a", "kind": "tokens", "length": 4}]},
            "inputs: must be one image; a detector's boxes lie in it",
            id="no image",
        ),
    ],
)
def test_wrong_contract_of_a_detector_is_refused_by_key(
    tmp_path: Path, detector_contract: Contract, change: dict[str, Any], message: str
) -> None:
    _rewrite(tmp_path, detector_contract, change)
    with pytest.raises(ContractError, match=re.escape(message)):
        Contract.load(tmp_path)


def test_detector_without_nms_is_refused(tmp_path: Path, detector_contract: Contract) -> None:
    dataclasses.replace(detector_contract, nms=None).save(tmp_path)
    with pytest.raises(
        ContractError, match=r"operating_point\.nms: is missing; a detector needs it"
    ):
        Contract.load(tmp_path)


def test_saved_contract_of_a_detector_comes_back_equal(
    tmp_path: Path, detector_contract: Contract
) -> None:
    detector_contract.save(tmp_path)
    assert Contract.load(tmp_path) == detector_contract
    assert json.loads((tmp_path / "contract.json").read_text())["operating_point"] == {
        "nms": {
            "score_threshold": 0.3,
            "iou": 0.5,
            "max_detections": 10,
            "mode": "class-aware",
        }
    }


def test_schema_2_is_written_as_this(tmp_path: Path, contract: Contract) -> None:
    image = ImageInput("image", "serving_image", contract.image.preprocess, "int8")
    files = (ModelFile("model.xml", 12, "ab"), ModelFile("model.bin", 345, "cd"))
    dataclasses.replace(contract, inputs=(image,), files=files).save(tmp_path)
    assert json.loads((tmp_path / "contract.json").read_text()) == {
        "schema": 2,
        "task": "classification",
        "labels": ["red", "green", "blue"],
        "format": "onnx",
        "precision": "fp32",
        "files": [
            {"name": "model.xml", "size_bytes": 12, "sha256": "ab"},
            {"name": "model.bin", "size_bytes": 345, "sha256": "cd"},
        ],
        "inputs": [
            {
                "name": "image", "tensor": "serving_image", "kind": "image", "dtype": "int8",
                "height": 32, "width": 32, "fit": "letterbox", "filter": "bilinear", "pad": 0,
                "anchor": "centre",
            }
        ],
        "outputs": [{"name": "logits", "tensor": "logits", "shape": [1, 3], "kind": "logits"}],
    }  # fmt: skip


def test_inputs_of_tokens_come_back_equal(tmp_path: Path, contract: Contract) -> None:
    inputs = (TokensInput("first", "a", 8), TokensInput("second", "b", 4, "int64"))
    given = dataclasses.replace(contract, inputs=inputs)
    given.save(tmp_path)
    assert Contract.load(tmp_path) == given
    assert [each.shape for each in given.inputs] == [(1, 8), (1, 4)]
    assert [each.array_dtype for each in given.inputs] == ["int32", "int64"]
    with pytest.raises(
        EdgetlUsageError, match="its inputs are tokens 'first', tokens 'second'"
    ) as caught:
        _ = given.image
    assert "predict_inputs" in caught.value.remedy


_SCHEMA_1: dict[str, Any] = {
    "schema": 1,
    "task": "detection",
    "labels": ["rote Öse", "blue screw"],
    "format": "openvino",
    "file": "model.xml",
    "precision": "int8",
    "input": {"name": "image", "height": 48, "width": 32},
    "preprocess": {
        "height": 48, "width": 32, "fit": "letterbox", "filter": "area", "pad": 114,
        "anchor": "top-left",
    },
    "outputs": [
        {"name": "boxes", "tensor": "b", "shape": [1, 7, 4]},
        {"name": "scores", "tensor": "s", "shape": [1, 7, 2]},
    ],
    "suppression": {"score": 0.25, "iou": 0.65, "limit": 100, "mode": "class-aware"},
    "provider": "cuda",
}  # fmt: skip
"""As edgetl wrote it before suppression was called NMS."""


def _load(folder: Path, data: dict[str, Any]) -> Contract:
    (folder / "contract.json").write_text(json.dumps(data), encoding="utf-8")
    return Contract.load(folder)


def test_contract_of_schema_1_is_read(tmp_path: Path) -> None:
    preprocess = Preprocess(48, 32, "letterbox", "area", 114, "top-left")
    assert _load(tmp_path, _SCHEMA_1) == Contract(
        task="detection",
        labels=("rote Öse", "blue screw"),
        format="openvino",
        files=(ModelFile("model.xml", None, None),),
        precision="int8",
        inputs=(ImageInput("image", "image", preprocess),),
        outputs=(
            OutputSpec("boxes", "b", (1, 7, 4), "boxes"),
            OutputSpec("scores", "s", (1, 7, 2), "scores"),
        ),
        nms=NmsSettings(0.25, 0.65, 100, "class-aware"),
        provider="cuda",
    )


def test_classifier_of_schema_1_from_before_anchors_is_read(tmp_path: Path) -> None:
    data = _without(_without(_SCHEMA_1, "suppression"), "provider") | {
        "task": "classification",
        "preprocess": _without(_SCHEMA_1["preprocess"], "anchor"),
        "outputs": [{"name": "logits", "tensor": "x", "shape": [1, 2]}],
    }
    loaded = _load(tmp_path, data)
    assert loaded.image.preprocess.anchor == "centre"
    assert (loaded.nms, loaded.provider) == (None, "cpu")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"input": {"height": 1}}, "input.name: is missing", id="input"),
        pytest.param({"file": 3}, "file: must be str, not 3", id="file"),
        pytest.param({"preprocess": {"height": 4}}, "inputs.0.width: is missing", id="fit"),
        pytest.param(
            {"suppression": {"score": 1, "iou": 1, "limit": 1}},
            "operating_point.nms.mode: is missing",
            id="mode",
        ),
        pytest.param({"precision": None}, "precision: must be str, not None", id="precision"),
    ],
)
def test_wrong_contract_of_schema_1_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ContractError, match=re.escape(message)):
        _load(tmp_path, {**_SCHEMA_1, **change})


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


def test_contract_that_the_system_refuses_is_not_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "contract.json").mkdir()
    with pytest.raises(ContractError, match=r"contract\.json cannot be read: Is a dir") as caught:
        Contract.load(tmp_path)
    assert caught.value.remedy == "check the path, and the owner and mode of file and folders"


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
