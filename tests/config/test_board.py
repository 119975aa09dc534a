"""A profile must describe a board that can run its candidates."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgetl.config.load import load_target
from edgetl.errors import ConfigError
from edgetl.runtime.engines import packages

_PROFILE: dict[str, Any] = {
    "name": "mine",
    "description": "a board",
    "device": None,
    "threads": 4,
    "candidates": {"onnx": ["fp32", "int8"], "tflite": ["int8"]},
    "board": {
        "soc": "chip",
        "processor": "Cortex-A72",
        "cores": 4,
        "architecture": "aarch64",
        "features": [],
        "memory_mib": 1024,
        "systems": [
            {
                "os": "bookworm",
                "python": "3.11",
                "glibc": "2.36",
                "engines": {"onnxruntime": "1.31.1", "tflite-runtime": "2.14.0"},
            }
        ],
        "identity": {"device_tree_model": ["Board"], "cpu_part": ["0xd08"]},
    },
}

Load = Callable[[dict[str, Any]], Any]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    def write_and_load(profile: dict[str, Any]) -> Any:
        (tmp_path / "targets").mkdir()
        (tmp_path / "targets" / "mine.yaml").write_text(yaml.safe_dump(profile), encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        return load_target("mine")

    return write_and_load


def _changed(where: str, value: object) -> dict[str, Any]:
    profile = copy.deepcopy(_PROFILE)
    *above, last = where.split(".")
    table: Any = profile
    for key in above:
        table = table[int(key) if key.isdigit() else key]
    table[last] = value
    return profile


def test_board_of_a_profile_is_read(load: Load) -> None:
    target = load(_PROFILE)
    assert target.board.systems[0].engines["onnxruntime"] == "1.31.1"
    assert target.board.identity.cpu_part == ("0xd08",)


def test_target_needs_no_board(load: Load) -> None:
    assert load(_changed("board", None)).board is None


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        (
            "board.systems.0.engines",
            {"onnxruntme": "1.31.1"},
            r"engines: unknown engine 'onnxruntme'; did you mean 'onnxruntime'\? known: ",
        ),
        (
            "board.systems.0.engines",
            {"torch": "2.14.1"},
            "torch'; known: onnxruntime, onnxruntime-gpu, openvino, ai-edge-litert, tflite-runtime",
        ),
        (
            "board.systems.0.engines.onnxruntime",
            1.31,
            r"onnxruntime: is 1\.31; must be a quoted version of dotted numbers: '3\.10'",
        ),
        (
            "board.systems.0.python",
            3.1,
            r"board\.systems\.0\.python: is 3\.1; must be a quoted version of dotted numbers",
        ),
        ("board.systems.0.glibc", "new", "glibc: is 'new'; must be a quoted version"),
        (
            "board.systems.0.python",
            "3.6",
            r"is '3\.6'; the runtime needs 3\.9 or newer, so give the version of a Python",
        ),
        (
            "board.features",
            ["neon"],
            r"board\.features\.0: is 'neon'; must be 'dotprod', 'i8mm', 'avx2' or 'vnni'",
        ),
        (
            "board.features",
            ["dotprod", "avx2"],
            "features: 'avx2' is not a feature of aarch64; it may have dotprod and i8mm",
        ),
        ("board.architecture", "armv7l", r"board\.architecture: is 'armv7l'; must be 'aarch64' or"),
        ("board.systems", [], r"board\.systems: is \[\]; must have at least 1 item\n"),
        ("board.cpu", "A72", r"board\.cpu: unknown key \(allowed: soc, processor, cores"),
        (
            "board.identity.device_tree",
            "x",
            r"identity\.device_tree: unknown key; did you mean 'device_tree_model'\?",
        ),
        ("threads", 8, r"threads: is 8, but board\.cores is 4"),
        (
            "candidates",
            {"onnx": ["fp32"], "openvino": ["fp32"]},
            r"openvino: board\.systems 'bookworm' has no engine for it; add the version of",
        ),
        (
            "candidates",
            {"onnx": ["fp32"], "onxx": ["int8"]},
            r"mine\.yaml:[0-9]+: candidates\.onxx: unknown format 'onxx'; did you mean 'onnx'\? ",
        ),
        ("limits", {"memory_mib": 1025}, r"memory_mib: is 1025, but board\.memory_mib is 1024"),
        (
            "candidates",
            {"onnx": ["fp32"], "onnx@cuda": ["fp16"]},
            r"'bookworm' has no engine for it; add the version of onnxruntime-gpu, or remove",
        ),
    ],
)
def test_wrong_profile_is_refused_with_the_reason(
    load: Load, where: str, value: object, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load(_changed(where, value))
    assert str(caught.value).startswith("targets/mine.yaml:")
    assert caught.value.remedy == "edit targets/mine.yaml and run again"


def test_mistake_in_every_system_is_not_reported_as_an_empty_list(load: Load) -> None:
    profile = _changed("board.systems.0.engines", {"onxruntime": "1.31.1"})
    with pytest.raises(ConfigError) as caught:  # noqa: PT011 - all its problems are compared
        load(profile)
    assert [problem.where for problem in caught.value.problems] == ["board.systems.0.engines"]


def test_mistake_in_every_candidate_is_not_reported_as_an_empty_table(load: Load) -> None:
    with pytest.raises(ConfigError) as caught:  # noqa: PT011 - all its problems are compared
        load(_changed("candidates", {"onxx": ["fp32"]}))
    assert [problem.where for problem in caught.value.problems] == ["candidates.onxx"]


def _with_openvino(architecture: str, features: list[str]) -> dict[str, Any]:
    profile = _changed("candidates", {"openvino": ["fp32", "int8"]})
    profile["board"]["systems"][0]["engines"] = {"openvino": "2026.4.1"}
    return profile | {
        "board": profile["board"] | {"architecture": architecture, "features": features}
    }


def test_int8_of_openvino_is_refused_on_arm_without_dot_products(load: Load) -> None:
    with pytest.raises(
        ConfigError,
        match=r"int8 needs 'dotprod' on aarch64, which board\.features lacks; remove int8",
    ):
        load(_with_openvino("aarch64", []))


@pytest.mark.parametrize(
    ("architecture", "features"), [("aarch64", ["dotprod"]), ("x86_64", ["avx2"])]
)
def test_int8_of_openvino_is_accepted_where_it_runs(
    load: Load, architecture: str, features: list[str]
) -> None:
    assert load(_with_openvino(architecture, features)).board.architecture == architecture


def test_all_conflicts_with_the_board_are_reported_at_once(load: Load) -> None:
    profile = _with_openvino("aarch64", []) | {"threads": 5}
    with pytest.raises(ConfigError, match=r"threads: is 5, .*; candidates\.openvino: int8 needs"):
        load(profile)


def test_engines_of_a_format_come_best_first() -> None:
    assert packages("tflite") == ("ai-edge-litert", "tflite-runtime")


def test_gpu_is_offered_where_the_profile_states_its_package(load: Load) -> None:
    profile = _changed("candidates", {"onnx": ["fp32"], "onnx@tensorrt": ["fp16"]})
    profile["board"]["systems"][0]["engines"] = {"onnxruntime-gpu": "1.23.0"}
    names = [candidate.name for candidate in load(profile).variants()]
    assert names == ["onnx fp32", "onnx fp16 tensorrt"]
