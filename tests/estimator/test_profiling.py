"""A suite is made, timed and fitted; missing requirements are reported first."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgetl.devices import open_device
from edgetl.errors import MissingPackageError, UsageError
from edgetl.estimator import profiling
from edgetl.estimator.cost import USUAL_NS
from edgetl.estimator.fit import price_ms
from edgetl.estimator.graph import Graph, Kind, Operation
from edgetl.estimator.networks import DETECTIONS, suite
from edgetl.estimator.profiling import SuiteModel, check_pairs, fit_pair, folders, profile_device
from edgetl.estimator.timing import Timed
from edgetl.train import packages
from edgetl.types import Precision

_PAIR = ("onnx", Precision.INT8)


def test_prices_depend_only_on_the_pair(tmp_path: Path) -> None:
    law = {**USUAL_NS, "inference": 50_000.0}
    graphs: dict[SuiteModel, Graph] = {}
    times: dict[str, Timed] = {}
    for i in range(1, 7):
        for precision, slower in ((Precision.FP32, 7.0), (Precision.INT8, 1.0)):
            model = SuiteModel(f"net{i}", "onnx", precision, tmp_path / f"net{i}-onnx-{precision}")
            wide = Operation(Kind.POINTWISE, "Conv", i * 10**6, 10, 10, 10, (8, 8), integer=True)
            graphs[model] = Graph("onnx", precision, (wide,) * i, {})
            ms = slower * price_ms(graphs[model].operations, law, 1)
            times[model.folder.name] = Timed(ms, disturbed=i == 2, engine="onnxruntime 1.31.1")

    fitted = fit_pair(_PAIR, graphs, times)

    assert (fitted.format, fitted.precision, fitted.engine) == (*_PAIR, "onnxruntime 1.31.1")
    assert fitted.largest == {"pointwise": 6 * 10**6}
    assert [row.name for row in fitted.networks if row.disturbed] == ["net2"]
    for row in fitted.networks:
        assert row.fitted_ms == pytest.approx(row.ms, rel=0.05)


def test_folders_of_the_suite_are_selected_by_format_and_precision(tmp_path: Path) -> None:
    for name in ("a-onnx-fp32", "b-c-onnx-int8", "a-onnx-int8", "a-tflite-int8"):
        (tmp_path / name).mkdir()
    assert [each.network for each in folders(tmp_path, [_PAIR])] == ["a", "b-c"]


def test_nothing_to_time_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing to time: the suite is made in fp32 and int8"):
        check_pairs([])


def test_emulated_device_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    lines: list[str] = []
    device = open_device("emulated:cortex-a72")
    with pytest.raises(UsageError, match="its times mean nothing"):
        profile_device(device, [_PAIR], threads=1, work=tmp_path, log=lines.append)
    assert not lines
    assert not list(tmp_path.iterdir())


def test_more_threads_than_cores_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    cores = open_device("local").describe()["cores"]
    with pytest.raises(
        UsageError,
        match=rf"device 'local' has {cores} usable core\(s\), too few for 4096 threads\n"
        f"  time with fewer: --threads {cores}$",
    ):
        profile_device(
            open_device("local"), [_PAIR], threads=4096, work=tmp_path, log=lambda _: None
        )
    assert not list(tmp_path.iterdir())


def test_networks_of_the_suite_differ_and_run() -> None:
    import torch

    networks = suite()
    assert len({network.name for network in networks}) == len(networks) > 20
    for network in networks:
        if network.size > 32:
            continue
        module = network.build()
        assert not module.training
        with torch.inference_mode():
            outputs = module(torch.zeros(1, network.size, network.size, 3))
        assert isinstance(outputs, tuple) == (network.outputs == DETECTIONS)


def test_suite_is_reproducible() -> None:
    import torch

    (first, again) = (suite()[7].build().state_dict() for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_missing_packages_are_refused_before_anything_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name == "torch" else name)
    monkeypatch.setattr(profiling, "find_spec", lambda _: None)
    with pytest.raises(MissingPackageError, match="are not installed") as caught:
        check_pairs([("tflite", Precision.FP32), ("openvino", Precision.INT8)])
    assert caught.value.message == (
        "these packages are not installed: 'torch' (edgetl[train]); 'openvino', 'nncf' "
        "(edgetl[openvino]); 'litert_torch' (edgetl[tflite])"
    )
    assert caught.value.remedy == "pip install 'edgetl[train,openvino,tflite]'"
