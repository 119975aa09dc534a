"""Progress of several nodes at once stays readable: every line names its node."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgetl.api import console
from edgetl.api.console import Console
from edgetl.config.table import Table
from edgetl.facts.model_files import ExportFacts
from edgetl.stages import Node
from edgetl.store.store import Artifact
from edgetl.types import Facts

_ONNX = Node("export", "export onnx", Table())
_TFLITE = Node("export", "export tflite", Table())

_RESULT = "3.0 MiB; 1.0e-06 of the outputs' range from torch"

Shelve = Callable[[Path, str, str, Facts], Artifact]


@pytest.fixture
def artifact(shelve: Shelve, tmp_path: Path) -> Artifact:
    facts = ExportFacts(size_bytes=3 << 20, max_abs_error=1e-6, output_span=1.0, nms=None)
    return shelve(tmp_path, "export onnx", "float", facts.model_dump(mode="json"))


def test_log_names_the_node_of_every_line(
    artifact: Artifact, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_LOG_EVERY_SECONDS", 0.0)
    with Console(quiet=False) as shown:
        shown.note(_ONNX, "another process is making this; waiting")
        shown.begins(_ONNX)
        shown.note(_ONNX, "alone")
        shown.begins(_TFLITE)
        shown.note(_ONNX, "beside another")
        shown.step(_TFLITE, 1, 4, "files")
        shown.ends(_ONNX, artifact, reused=False)
        shown.note(_TFLITE, "alone again")
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "  export tflite: 1/4  files  about 0 s left",
        f"export onnx                  {_RESULT}  [{artifact.manifest.seconds:.0f} s]",
    ]
    assert err.splitlines() == [
        "  export onnx: another process is making this; waiting",
        "  alone",
        "  export onnx: beside another",
        "  alone again",
    ]


def test_terminal_shows_a_bar_for_each_node_and_results_above(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = _Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("TERM", "xterm")
    with Console(quiet=False) as shown:
        shown.begins(_ONNX)
        shown.begins(_TFLITE)
        shown.step(_ONNX, 1, 3, "onnx files")
        shown.step(_TFLITE, 2, 3, "tflite files")
        bars = shown._bars
        assert bars is not None
        assert [(task.description.strip(), task.completed) for task in bars.tasks] == [
            ("export onnx", 1),
            ("export tflite", 2),
        ]
        shown.ends(_ONNX, artifact, reused=True)
        assert [task.description.strip() for task in bars.tasks] == ["export tflite"]
        shown.begins(_TFLITE)  # again, because its process was killed
        assert [(task.description.strip(), task.completed) for task in bars.tasks] == [
            ("export tflite", 0)
        ]
        shown.ends(_TFLITE, artifact, reused=True)
        assert shown._bars is None
    assert f"export onnx                  {_RESULT}  [reused]" in screen.getvalue()


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_quiet_console_prints_nothing_but_notes(
    artifact: Artifact, capsys: pytest.CaptureFixture[str]
) -> None:
    with Console(quiet=True) as shown:
        shown.begins(_ONNX)
        shown.step(_ONNX, 1, 3, "files")
        shown.note(_ONNX, "all weights start at random")
        shown.ends(_ONNX, artifact, reused=False)
    assert capsys.readouterr() == ("", "  all weights start at random\n")
