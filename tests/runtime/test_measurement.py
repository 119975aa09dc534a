from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgetl.runtime import golden
from edgetl.runtime.contract import Contract
from edgetl.runtime.errors import BundleError
from edgetl.runtime.measurement import measure
from edgetl.runtime.timing_plan import TimingPlan


def test_measuring_takes_runs_of_at_least_count_and_seconds(model_folder: Path) -> None:
    latency = measure(model_folder, threads=1, plan=TimingPlan(0.05, 30, 2))
    # Other programs may disturb the runs here.
    assert 2 <= len(latency.runs) <= 4
    for run in latency.runs:
        assert len(run.model_ns) >= 30
        assert sum(run.model_ns) + sum(run.end_to_end_ns) <= run.disturbance.seconds * 1e9
        assert run.disturbance.seconds >= 0.1
        assert len(run.end_to_end_ns) == len(run.pre_ns) == len(run.post_ns) >= 30
    assert latency.warm_up.count >= 10
    assert latency.load_ns > 0
    assert latency.first_ns > 0
    assert latency.peak_memory_bytes is not None
    assert latency.engine.startswith("onnxruntime ")
    assert latency.sustained is None


def test_end_to_end_takes_longer_than_pre_and_postprocessing(model_folder: Path) -> None:
    latency = measure(model_folder, threads=1, plan=TimingPlan(0.0, 20, 1))
    for whole, before, after in zip(
        latency.runs[0].end_to_end_ns, latency.runs[0].pre_ns, latency.runs[0].post_ns, strict=True
    ):
        assert before > 0
        assert after > 0
        assert before + after < whole


def test_end_to_end_of_a_detector_includes_decoding_the_detections(
    detector_folder: Path, state_files: Callable[[Path, Contract], None]
) -> None:
    samples = golden.load(detector_folder, Contract.load(detector_folder))
    latency = measure(detector_folder, threads=1, plan=TimingPlan(0.0, 20, 1))
    assert len(latency.runs[0].end_to_end_ns) == 20
    # NaN outputs are refused when detections are decoded, not before.
    model = onnx.load(detector_folder / "model.onnx")
    fixed = next(each for each in model.graph.initializer if each.name == "fixed")
    fixed.CopyFrom(onnx.numpy_helper.from_array(samples.reference["boxes"][:1] * np.nan, "fixed"))
    onnx.save(model, detector_folder / "model.onnx")
    state_files(detector_folder, Contract.load(detector_folder))
    with pytest.raises(BundleError, match="gives outputs that are not finite"):
        measure(detector_folder, threads=1, plan=TimingPlan(0.0, 20, 1))


def test_sustained_mode_follows_the_runs(model_folder: Path) -> None:
    latency = measure(model_folder, threads=1, plan=TimingPlan(0.0, 5, 1), sustained_minutes=0.001)
    assert latency.sustained is not None
    assert latency.sustained.minutes[0].count >= 1
    assert latency.sustained.readings[0].second < 1.0


def test_folder_without_golden_samples_is_refused(model_folder: Path) -> None:
    (model_folder / "golden.npz").unlink()
    with pytest.raises(BundleError, match=r"golden\.npz cannot be read"):
        measure(model_folder, threads=1, plan=TimingPlan(0.0, 1, 1))


def test_golden_samples_without_images_are_refused(model_folder: Path) -> None:
    with np.load(model_folder / "golden.npz") as archive:
        arrays = dict(archive)
    arrays["fitted"] = arrays["fitted"][:0]
    np.savez(model_folder / "golden.npz", **arrays)
    with pytest.raises(BundleError, match="has no golden samples to time"):
        measure(model_folder, threads=1, plan=TimingPlan(0.0, 1, 1))
