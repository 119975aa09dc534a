"""Times come from the device alone; the lowest undisturbed round counts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edgetl.errors import DeviceError, UsageError
from edgetl.estimator.timing import Timed, time_folders
from edgetl.types import Facts

_HOST: Facts = {"machine": "aarch64", "cores": 4}


@dataclass
class Board:
    """A device that prints a fixed output, and records files and commands."""

    output: str
    address: str = "ssh://board"
    provenance: str = "measured"
    files: list[str] = field(default_factory=list)
    commands: list[list[str]] = field(default_factory=list)

    def describe(self) -> Facts:
        return _HOST

    @contextmanager
    def connect(self) -> Iterator[Board]:
        yield self

    def put(self, files: Mapping[str, Path]) -> None:
        assert all(path.is_file() for path in files.values())
        self.files += files

    def run(self, arguments: Sequence[str], *, timeout_s: float) -> str:
        assert timeout_s > 0
        self.commands.append(list(arguments))
        return self.output

    def get(self, names: Sequence[str], folder: Path) -> None:
        raise NotImplementedError


def output(**changes: Any) -> str:
    usual: dict[str, Any] = {
        "host": _HOST,
        "engine": {"a": "onnxruntime 1.31.1", "b": "onnxruntime 1.31.1"},
        "medians_ns": {"a": [3e6, 2e6, 1e6], "b": [5e6, 4e6, 6e6]},
        "disturbed": {"a": [False, False, True], "b": [True, True, True]},
    }
    return json.dumps({**usual, **changes})


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.onnx").write_bytes(b"x")
    return {name: tmp_path / name for name in ("a", "b")}


def test_lowest_undisturbed_round_counts(folders: dict[str, Path]) -> None:
    board = Board(output())
    assert time_folders(board, folders, threads=3, host=_HOST) == {
        "a": Timed(ms=2.0, disturbed=False, engine="onnxruntime 1.31.1"),
        "b": Timed(ms=4.0, disturbed=True, engine="onnxruntime 1.31.1"),
    }


def test_only_runtime_and_models_are_sent(folders: dict[str, Path]) -> None:
    board = Board(output())
    time_folders(board, folders, threads=3, host=_HOST)

    assert board.commands == [["rounds.py", "3", "a", "b"]]
    others = {name for name in board.files if not name.startswith("edgetl/runtime/")}
    assert others == {"edgetl/__init__.py", "rounds.py", "a/model.onnx", "b/model.onnx"}


def test_emulated_device_is_refused(folders: dict[str, Path]) -> None:
    board = Board("", address="emulated:cortex-a72", provenance="emulated")
    with pytest.raises(UsageError, match="'emulated:cortex-a72' is emulated, and its times mean"):
        time_folders(board, folders, threads=1, host=_HOST)
    assert not board.files


@pytest.mark.parametrize(
    ("printed", "message"),
    [
        ("Segmentation fault", "'ssh://board' printed 'Segmentation fault' instead of times"),
        ("[1]", r"'ssh://board' printed '\[1\]' instead of times"),
        (output(host={"machine": "x86_64"}), "'ssh://board' changed while it was timed: "),
    ],
    ids=["garbage", "no object", "different machine"],
)
def test_wrong_output_is_reported(folders: dict[str, Path], printed: str, message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        time_folders(Board(printed), folders, threads=1, host=_HOST)
