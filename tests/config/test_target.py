"""A candidate is a format, a precision and an execution provider."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from edgetl.config.candidate import Variant
from edgetl.config.load import known_files, load_target
from edgetl.config.target import Target
from edgetl.types import Precision

_FP32, _FP16, _INT8 = Precision.FP32, Precision.FP16, Precision.INT8


def _target(candidates: dict[str, list[str]], **changes: Any) -> Target:
    profile = {"name": "jetson", "description": "a board", "device": None, "threads": 1}
    return Target.model_validate({**profile, "candidates": candidates, **changes})


def test_key_without_a_provider_means_the_cpu() -> None:
    variants = list(_target({"onnx": ["fp32", "int8"]}).variants())
    assert variants == [Variant("onnx", _FP32, "cpu"), Variant("onnx", _INT8, "cpu")]
    assert [variant.name for variant in variants] == ["onnx fp32", "onnx int8"]


def test_providers_share_the_model_file() -> None:
    target = _target(
        {"onnx": ["fp32"], "onnx@cuda": ["fp32", "fp16"], "tflite": ["int8"], "onnx@tensorrt": []}
    )
    assert [candidate.name for candidate in target.variants()] == [
        "onnx fp32",
        "onnx fp32 cuda",
        "onnx fp16 cuda",
        "tflite int8",
    ]
    assert target.pairs() == (("onnx", _FP32), ("onnx", _FP16), ("tflite", _INT8))
    assert target.files() == {"onnx": (_FP32, _FP16), "tflite": (_INT8,)}
    assert list(target.format_providers()) == [
        ("onnx", "cpu"),
        ("onnx", "cuda"),
        ("tflite", "cpu"),
        ("onnx", "tensorrt"),
    ]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (
            "onnx@cudda",
            "onnx has no provider 'cudda'; write 'onnx' for the CPU, or 'onnx@cuda', ",
        ),
        (
            "tflite@cuda",
            "tflite has no provider 'cuda'; write 'tflite' for the CPU",
        ),
        (
            "onnx@cpu",
            "the CPU is the default provider; write 'onnx'",
        ),
        ("onxx", "unknown format 'onxx'; did you mean 'onnx'? known: onnx, openvino, tflite"),
        ("onxx@cuda", "unknown format 'onxx'; did you mean 'onnx@cuda'? known: onnx, "),
        ("paddle", "unknown format 'paddle'; known: onnx, openvino, tflite"),
    ],
)
def test_unknown_format_or_provider_is_refused(key: str, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        _target({key: ["fp32"]})
    assert message in str(caught.value)


@pytest.mark.parametrize("key", ["onnx@", "@cuda", "onnx@cuda@0", "onnx cuda"])
def test_malformed_key_is_refused(key: str) -> None:
    with pytest.raises(ValidationError, match="should match pattern"):
        _target({key: ["fp32"]})


@pytest.mark.parametrize("name", sorted(known_files("targets")))
def test_file_states_every_default_limit_and_only_host_has_no_time_limit(
    name: str,
) -> None:
    stated = yaml.safe_load(known_files("targets")[name].read_text("utf-8"))["limits"]
    assert set(stated) == {"drop_pp", "p95_ms", "size_mib", "memory_mib"}
    assert [key for key, value in stated.items() if value is None] == (
        ["p95_ms"] if name == "host" else []
    )


@pytest.mark.parametrize("name", sorted(set(known_files("targets")) - {"host"}))
def test_board_is_identified_by_more_than_its_size(name: str) -> None:
    board = load_target(name).board
    assert board is not None
    assert board.features or board.identity.cpu_part
