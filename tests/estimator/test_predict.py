"""Estimates are prices times amounts, with notes on models outside of the profile's scope."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgetl.errors import ConfigError, UsageError
from edgetl.estimator.cost_profile import CostProfile
from edgetl.estimator.graph import Graph, Kind, Operation
from edgetl.estimator.predict import METHOD, estimate_by_profile, find_model
from edgetl.runtime.contract import Contract, OutputSpec
from edgetl.runtime.inputs import ImageInput
from edgetl.runtime.model_files import ModelFile
from edgetl.runtime.preprocess import Preprocess
from edgetl.types import Precision

# 1 ms for the inference; 2,000,000 multiplications at 1 ns.
_MACS = 2_000_000


def graph(*operations: Operation, **changes: Any) -> Graph:
    usual: dict[str, Any] = {"format": "onnx", "precision": Precision.FP32, "unknown": {}}
    return Graph(operations=operations, **{**usual, **changes})


@pytest.fixture
def point(operation: Any, profile: CostProfile) -> Operation:
    """Return an operation of 2 ms, as large as the largest timed one."""
    for fit in profile.fits:
        fit.largest["pointwise"] = _MACS
    pointwise: Operation = operation(Kind.POINTWISE, macs=_MACS, channels=(8, 8), integer=True)
    return pointwise


def test_estimate_is_the_sum_of_prices_with_the_band_of_the_fit(
    profile: CostProfile, point: Operation
) -> None:
    prediction = estimate_by_profile(graph(point), profile)

    assert prediction.estimate.ms == pytest.approx(3.0)
    assert prediction.estimate.low_ms == pytest.approx(3.0 / 1.25)
    assert prediction.estimate.high_ms == pytest.approx(3.0 * 1.25)
    assert prediction.estimate.method == METHOD == "cost profile"
    assert prediction.estimate.basis == (
        "onnxruntime 1.31.1 on Board 4, 2 thread(s), fitted to 2 networks; the band contained 90% "
        "of them when each was predicted from the others"
    )
    assert prediction.notes == ()


def test_float_convolution_in_an_int8_file_has_its_float_price(
    profile: CostProfile, point: Operation, operation: Any
) -> None:
    in_float = operation(Kind.POINTWISE, macs=_MACS, channels=(8, 8), integer=False)
    prediction = estimate_by_profile(graph(point, in_float, precision=Precision.INT8), profile)
    # 1 ms, 2,000,000 at 2 ns and as many at 1 ns.
    assert prediction.estimate.ms == pytest.approx(1 + 4 + 2)


def test_operations_larger_than_timed_ones_widen_the_band_and_are_named(
    profile: CostProfile, operation: Any
) -> None:
    prediction = estimate_by_profile(
        graph(
            operation(Kind.POINTWISE, macs=2500, channels=(8, 8)),
            operation(Kind.POOL, written=5),
            operation(Kind.ARITHMETIC, written=2000),
        ),
        profile,
    )

    assert prediction.notes == (
        (
            "larger than any timed operation, so the band is wider: pointwise (2.5 times as "
            "large), pool (pool; none was timed)"
        ),
    )
    assert prediction.estimate.high_ms / prediction.estimate.ms == pytest.approx(1.25 * 1.5)
    assert prediction.estimate.ms / prediction.estimate.low_ms == pytest.approx(1.25 * 1.5)


def test_unknown_operations_are_named_and_raise_the_upper_end(
    profile: CostProfile, point: Operation
) -> None:
    prediction = estimate_by_profile(graph(point, unknown={"TopK": 2, "NonZero": 1}), profile)

    assert prediction.notes == (
        "without a price, so the band's upper end is doubled: 1 x NonZero, 2 x TopK",
    )
    assert prediction.estimate.high_ms == pytest.approx(3.0 * 1.25 * 2)
    assert prediction.estimate.low_ms == pytest.approx(3.0 / 1.25)


def test_fp16_is_priced_as_fp32_with_a_note(profile: CostProfile, point: Operation) -> None:
    prediction = estimate_by_profile(graph(point, precision=Precision.FP16), profile)
    assert prediction.estimate.ms == pytest.approx(3.0)
    assert prediction.notes == ("fp16 files are computed in fp32 and priced accordingly",)


def test_file_without_prices_is_refused(profile: CostProfile, point: Operation) -> None:
    message = (
        "of device 'ssh://board' has no prices for tflite w8a16; it has onnx fp32, onnx int8\n"
        "  estimate such files, or measure this one: python -m edgetl.runtime bench FOLDER"
    )
    with pytest.raises(UsageError, match="has no prices for tflite w8a16") as caught:
        estimate_by_profile(graph(point, format="tflite", precision=Precision.W8A16), profile)
    assert message in str(caught.value)


def contract(**fields: str) -> Contract:
    return Contract(
        task="classification",
        labels=("a", "b"),
        format="onnx",
        files=(ModelFile("model.onnx", 1, "0" * 64),),
        precision="fp32",
        inputs=(ImageInput("image", "image", Preprocess(8, 8, "stretch", "bilinear", 0)),),
        outputs=(OutputSpec("logits", "logits", (1, 2), "logits"),),
        **fields,  # type: ignore[arg-type] # only texts
    )


def test_model_for_another_provider_is_refused(tmp_path: Path) -> None:
    contract(provider="cuda").save(tmp_path)
    with pytest.raises(UsageError, match="runs on 'cuda', but estimates are only for the CPU"):
        find_model(tmp_path)


def test_model_of_a_folder_is_named_by_its_contract(tmp_path: Path) -> None:
    contract().save(tmp_path)
    assert find_model(tmp_path) == tmp_path / "model.onnx"
    assert find_model(tmp_path / "other.tflite") == tmp_path / "other.tflite"


def test_folder_without_a_contract_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no contract\.json; a model folder or bundle"):
        find_model(tmp_path)
