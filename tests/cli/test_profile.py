"""``edgetl profile`` requires a target, refuses emulated devices, and writes one file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edgetl.cli.profile import command
from edgetl.errors import ConfigError, DeviceError, UsageError
from edgetl.estimator import profiling
from edgetl.estimator.cost_profile import CostProfile, Fit, NetworkRow, load_profile

_TARGET = """\
name: board
description: a board
device: local
threads: 2
candidates: {onnx: [fp32, fp16, int8], tflite: [int8]}
"""


@pytest.fixture
def requested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Work in a folder with a target, with a stubbed suite; return the requested profile."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "board.yaml").write_text(_TARGET)
    request: dict[str, Any] = {}

    def profile_device(
        device: Any, pairs: Sequence[Any], *, threads: int, work: Path, log: Any
    ) -> CostProfile:
        assert work.is_dir()
        request.update(device=device.address, pairs=list(pairs), threads=threads)
        log("made     onnx fp32, int8")
        row = NetworkRow(name="dense", ms=1.0, fitted_ms=1.0, held_out_ms=1.2, disturbed=True)
        fits = tuple(
            Fit(
                format=name,
                precision=precision,
                engine=f"{name}-engine 1.0",
                lane=8,
                ns={"inference": 1.0},
                band=1.25,
                coverage=0.9,
                largest={},
                networks=(row,),
            )
            for name, precision in pairs
        )
        host = {"processor": "Core"}
        return CostProfile(edgetl="1", device="local", host=host, threads=threads, fits=fits)

    monkeypatch.setattr(profiling, "profile_device", profile_device)
    return request


def profile(*words: str) -> Result:
    return CliRunner().invoke(command, words)


def test_candidates_and_threads_of_the_target_are_timed(requested: dict[str, Any]) -> None:
    done = profile("--target", "board")

    assert done.exit_code == 0, done.output
    assert requested == {
        "device": "local",
        "pairs": [("onnx", "fp32"), ("onnx", "int8"), ("tflite", "int8")],
        "threads": 2,
    }
    assert done.output.splitlines() == [
        "made     onnx fp32, int8",
        "profiles/board.json: Core, 2 thread(s)",
        ("  onnx     fp32  1 networks, onnx-engine 1.0; 90% of them, when held out, within +25 %"),
        ("  onnx     int8  1 networks, onnx-engine 1.0; 90% of them, when held out, within +25 %"),
        (
            "  tflite   int8  1 networks, tflite-engine 1.0; 90% of them, when held out, "
            "within +25 %"
        ),
        (
            "other programs disturbed 3 of 3 timings in every round, so estimates will be too "
            "high; the file names them. Stop the programs and run again"
        ),
        "to use it: edgetl estimate MODEL --profile profiles/board.json",
    ]
    assert load_profile(Path("profiles/board.json")).threads == 2


def test_formats_threads_and_file_can_be_chosen(requested: dict[str, Any]) -> None:
    done = profile(
        "--target", "board", "--format", "tflite", "--threads", "1", "--out", "a/b.json", "--json"
    )

    assert (requested["pairs"], requested["threads"]) == ([("tflite", "int8")], 1)
    assert json.loads(done.output) == json.loads(Path("a/b.json").read_text())


def test_this_machine_is_the_default(requested: dict[str, Any]) -> None:
    done = profile("--format", "openvino")
    assert done.exit_code == 0, done.output
    assert (requested["device"], requested["threads"]) == ("local", 1)
    assert Path("profiles/host.json").is_file()


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (("--device", "ssh://pi@pi"), UsageError, "the target of device 'ssh://pi@pi' is unknown"),
        (("--target", "rpi4"), UsageError, "targets/rpi4.yaml names no device"),
        (("--target", "mars"), ConfigError, "targets/mars.yaml: no such file"),
        (("--device", "usb:1", "--target", "board"), UsageError, "unknown device 'usb:1'"),
        (
            ("--device", "nonsense"),
            UsageError,
            "unknown device 'nonsense'\n  Known: emulated, local",
        ),
        (
            ("--device", "local", "--target", "rpi4", "--format", "openvino"),
            UsageError,
            "target 'rpi4' does not offer 'openvino'; it offers onnx, tflite\n  use one of these",
        ),
        (
            ("--device", "emulated:cortex-a72", "--target", "rpi4"),
            UsageError,
            "'emulated:cortex-a72' is emulated, and its times mean nothing",
        ),
        (
            ("--device", "ssh://pi@127.0.0.1:1", "--target", "rpi4"),
            DeviceError,
            "127.0.0.1:1",
        ),
    ],
    ids=[
        "unknown target",
        "no device",
        "no target",
        "unknown kind",
        "no kind",
        "format",
        "emulated",
        "unreachable",
    ],
)
def test_invalid_request_is_refused(
    requested: dict[str, Any], words: tuple[str, ...], error: type[Exception], message: str
) -> None:
    done = profile(*words)
    assert isinstance(done.exception, error), done.exception
    assert message in str(done.exception)
    assert not requested
    assert not Path("profiles").exists()


def test_target_with_an_invalid_address_is_refused_with_its_line(
    requested: dict[str, Any],
) -> None:
    Path("targets/board.yaml").write_text(_TARGET.replace("local", "sssh://pi@pi"))
    done = profile("--target", "board")
    assert isinstance(done.exception, ConfigError)
    assert done.exception.message.startswith(
        "targets/board.yaml:3: device: unknown device 'sssh://pi@pi'; Did you mean 'ssh://pi@pi'? "
    )
    assert not requested
