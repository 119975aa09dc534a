"""Estimates are prices times amounts; what a profile was not made for is said."""

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

# 1 ms for the inference, 2,000,000 multiplications at 1 ns.
_MACS = 2_000_000


def graph(*operations: Operation, **given: Any) -> Graph:
    usual: dict[str, Any] = {"format": "onnx", "precision": Precision.FP32, "unknown": {}}
    return Graph(operations=operations, **{**usual, **given})


@pytest.fixture
def point(operation: Any, profile: CostProfile) -> Operation:
    """Return an operation of 2 ms, as large as the largest that was timed."""
    for fit in profile.fits:
        fit.largest["pointwise"] = _MACS
    found: Operation = operation(Kind.POINTWISE, macs=_MACS, channels=(8, 8), integer=True)
    return found


def test_estimate_is_the_sum_of_prices_with_the_band_of_the_fit(
    profile: CostProfile, point: Operation
) -> None:
    found = estimate_by_profile(graph(point), profile)

    assert found.estimate.ms == pytest.approx(3.0)
    assert found.estimate.low_ms == pytest.approx(3.0 / 1.25)
    assert found.estimate.high_ms == pytest.approx(3.0 * 1.25)
    assert found.estimate.method == METHOD == "cost profile"
    assert found.estimate.basis == (
        "onnxruntime 1.31.1 on Board 4, 2 thread(s), fitted to 2 networks; the band held 90% of "
        "them when each was predicted from the others"
    )
    assert found.notes == ()


def test_convolution_that_an_int8_file_leaves_in_float_costs_what_it_does_in_float(
    profile: CostProfile, point: Operation, operation: Any
) -> None:
    left = operation(Kind.POINTWISE, macs=_MACS, channels=(8, 8), integer=False)
    found = estimate_by_profile(graph(point, left, precision=Precision.INT8), profile)
    # 1 ms, 2,000,000 at 2 ns and as many at 1 ns.
    assert found.estimate.ms == pytest.approx(1 + 4 + 2)


def test_larger_operations_than_timed_widen_the_band_and_are_named(
    profile: CostProfile, operation: Any
) -> None:
    found = estimate_by_profile(
        graph(
            operation(Kind.POINTWISE, macs=2500, channels=(8, 8)),
            operation(Kind.POOL, written=5),
            operation(Kind.ARITHMETIC, written=2000),
        ),
        profile,
    )

    assert found.notes == (
        (
            "larger than anything that was timed, so the band is wider: pointwise (2.5 times), "
            "pool (pool; none was timed)"
        ),
    )
    assert found.estimate.high_ms / found.estimate.ms == pytest.approx(1.25 * 1.5)
    assert found.estimate.ms / found.estimate.low_ms == pytest.approx(1.25 * 1.5)


def test_unknown_operations_are_named_and_raise_the_upper_end(
    profile: CostProfile, point: Operation
) -> None:
    found = estimate_by_profile(graph(point, unknown={"TopK": 2, "NonZero": 1}), profile)

    assert found.notes == ("not priced, so the band reaches twice as high: 1 x NonZero, 2 x TopK",)
    assert found.estimate.high_ms == pytest.approx(3.0 * 1.25 * 2)
    assert found.estimate.low_ms == pytest.approx(3.0 / 1.25)


def test_fp16_is_priced_as_fp32_and_says_so(profile: CostProfile, point: Operation) -> None:
    found = estimate_by_profile(graph(point, precision=Precision.FP16), profile)
    assert found.estimate.ms == pytest.approx(3.0)
    assert found.notes == ("fp16 files are computed as fp32 ones, and priced so",)


def test_file_without_prices_is_refused(profile: CostProfile, point: Operation) -> None:
    message = (
        "of device 'ssh://board' has no prices for tflite w8a16; it has onnx fp32, onnx int8\n"
        "  estimate such files, or measure this one: python -m edgetl.runtime bench FOLDER"
    )
    with pytest.raises(UsageError, match="has no prices for tflite w8a16") as caught:
        estimate_by_profile(graph(point, format="tflite", precision=Precision.W8A16), profile)
    assert message in str(caught.value)


def contract(**given: str) -> Contract:
    return Contract(
        task="classification",
        labels=("a", "b"),
        format="onnx",
        files=(ModelFile("model.onnx", 1, "0" * 64),),
        precision="fp32",
        inputs=(ImageInput("image", "image", Preprocess(8, 8, "stretch", "bilinear", 0)),),
        outputs=(OutputSpec("logits", "logits", (1, 2), "logits"),),
        **given,  # type: ignore[arg-type] # only texts
    )


def test_model_for_another_provider_is_refused(tmp_path: Path) -> None:
    contract(provider="cuda").save(tmp_path)
    with pytest.raises(UsageError, match="runs on 'cuda', and estimates are for the CPU alone"):
        find_model(tmp_path)


def test_model_is_found_in_its_folder(tmp_path: Path) -> None:
    contract().save(tmp_path)
    assert find_model(tmp_path) == tmp_path / "model.onnx"
    assert find_model(tmp_path / "other.tflite") == tmp_path / "other.tflite"


def test_folder_without_a_contract_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no contract\.json; a model folder or bundle"):
        find_model(tmp_path)
