"""A GPU that was requested runs the whole model, or there is no session.

This machine has no GPU. What ONNX Runtime does without one is real here; what it does with one is
played by a session that says where it runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from edgetl.runtime.contract import Contract
from edgetl.runtime.engines import onnx, open_session, package, packages
from edgetl.runtime.errors import BundleError, EngineError

Play = Callable[..., "list[dict[str, Any]]"]

_CUDA, _TENSORRT, _CPU = (f"{name}ExecutionProvider" for name in ("CUDA", "Tensorrt", "CPU"))


@pytest.fixture
def file(model_folder: Path) -> Path:
    return model_folder / Contract.load(model_folder).file


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    """Return what lets ONNX Runtime say that it has GPUs, and sessions say where they run.

    The sessions are real ones on the CPU; what they were made with is returned.
    """

    def pretend(runs_on: Sequence[str]) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = []

        def session(path: str, sess_options: Any, providers: Any, **given: Any) -> Any:
            real = onnxruntime.InferenceSession(path, providers=[_CPU])
            options = sess_options.get_session_config_entry
            made.append({"providers": providers, "options": options, **given})
            return SimpleNamespace(
                get_providers=lambda: list(runs_on),
                get_inputs=real.get_inputs,
                get_outputs=real.get_outputs,
                run=real.run,
            )

        names = {name: getattr(onnxruntime, name) for name in dir(onnxruntime) if name[0] != "_"}
        stand_in = SimpleNamespace(
            **names
            | {
                "__version__": "1.23.0",
                "get_available_providers": lambda: [_TENSORRT, _CUDA, _CPU],
                "InferenceSession": session,
            }
        )
        monkeypatch.setitem(sys.modules, "onnxruntime", stand_in)
        return made

    return pretend


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_wheel_without_the_provider_is_an_error_and_no_session(file: Path, provider: str) -> None:
    official = {"cuda": _CUDA, "tensorrt": _TENSORRT}[provider]
    with pytest.raises(
        EngineError,
        match=rf"^onnxruntime \S+ has no {official} here, which '{provider}' needs; "
        r"it has .*CPUExecutionProvider\n  replace onnxruntime by onnxruntime-gpu; ",
    ) as caught:
        open_session("onnx", file, 1, provider)
    assert caught.value.exit_code == 4


def test_operation_left_to_the_cpu_is_refused_by_onnxruntime_itself(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of the wheel for CPUs, one that is not the CPU and runs no operation of this model.
    spare = "AzureExecutionProvider"
    if spare not in onnxruntime.get_available_providers():
        pytest.skip(f"this onnxruntime has no {spare}")
    monkeypatch.setitem(onnx._OFFICIAL, "cuda", spare)
    monkeypatch.setitem(onnx._OPTIONS, "cuda", {})
    with pytest.raises(
        EngineError,
        match=rf"does not run all of .*model\.onnx on {spare}: .*assigned to the default CPU EP.*"
        r"\n  check that the libraries of 'cuda' are installed .*remove 'onnx@cuda' from",
    ) as caught:
        open_session("onnx", file, 1, "cuda")
    assert caught.value.exit_code == 4


def test_damaged_file_is_reported_as_such_also_if_a_gpu_is_requested(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(onnx._OFFICIAL, "cuda", onnxruntime.get_available_providers()[0])
    monkeypatch.setitem(onnx._OPTIONS, "cuda", {})
    file.write_bytes(b"torn")
    with pytest.raises(BundleError, match=r"cannot load .*model\.onnx"):
        open_session("onnx", file, 1, "cuda")


@pytest.mark.parametrize(("provider", "official"), [("cuda", _CUDA), ("tensorrt", _TENSORRT)])
def test_provider_is_requested_alone_and_without_a_fallback(
    file: Path, play: Play, provider: str, official: str
) -> None:
    made = play([official, _CPU])
    session = open_session("onnx", file, 1, provider)
    assert session.engine == "onnxruntime 1.23.0"
    pixels = np.full((1, 32, 32, 3), 100, np.uint8)
    assert session.run({"image": pixels})["logits"] == pytest.approx(np.ones((1, 3)), abs=1e-5)
    (given,) = made
    assert [name for name, _ in given["providers"]] == [official]
    assert given["enable_fallback"] == 0
    assert given["options"]("session.disable_cpu_ep_fallback") == "1"


def test_fp32_stays_fp32_on_cuda(file: Path, play: Play) -> None:
    made = play([_CUDA, _CPU])
    open_session("onnx", file, 1, "cuda")
    assert made[0]["providers"] == [(_CUDA, {"use_tf32": "0"})]


@pytest.mark.parametrize(
    ("provider", "requested", "runs_on"),
    [("cuda", _CUDA, [_CPU]), ("tensorrt", _TENSORRT, [_CUDA, _CPU])],
    ids=["cpu for cuda", "cuda for tensorrt"],
)
def test_session_that_runs_elsewhere_is_refused(
    file: Path, play: Play, provider: str, requested: str, runs_on: list[str]
) -> None:
    play(runs_on)
    with pytest.raises(
        EngineError,
        match=rf"^{requested} was requested, but onnxruntime 1\.23\.0 runs \S+ on {runs_on[0]}, "
        "whose times and outputs would not count",
    ):
        open_session("onnx", file, 1, provider)


def test_gpu_needs_another_package_than_the_cpu() -> None:
    assert packages("onnx") == ("onnxruntime", "onnxruntime-gpu")
    assert packages("onnx", "cuda") == packages("onnx", "tensorrt") == ("onnxruntime-gpu",)
    with pytest.raises(
        EngineError,
        match="a model of format 'onnx' on cuda needs the package 'onnxruntime-gpu': it is not "
        "installed\n  pip install onnxruntime-gpu",
    ):
        package("onnx", "cuda")
