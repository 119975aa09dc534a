"""Models in turns: real processes, and what ends the rounds."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgetl.runtime import host, turns
from edgetl.runtime.__main__ import main
from edgetl.runtime.errors import EdgetlUsageError
from edgetl.runtime.latency import Latency
from edgetl.runtime.timing_plan import TimingPlan, TurnsPlan
from edgetl.runtime.turns import TurnError, rounds_of, time_in_turns

_BRIEF = TurnsPlan(TimingPlan(0.0, 4, 3), most_rounds=3)
_WORDS = ["--seconds", "0", "--count", "4", "--rounds", "2", "--most-rounds", "2"]


@pytest.fixture
def two(model_folder: Path) -> list[Path]:
    other = model_folder.with_name("other")
    shutil.copytree(model_folder, other)
    return [model_folder, other]


def _processes() -> set[str]:
    """Return the command lines of all processes that time a model."""
    numbers = set()
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"turns" in words and b"edgetl.runtime" in words:
            numbers.add(folder.name)
    return numbers


def test_every_model_has_a_turn_in_every_round(two: list[Path]) -> None:
    latencies = time_in_turns(two, threads=1, plan=_BRIEF)
    for latency in latencies:
        assert [len(run.model_ns) for run in latency.runs] == [4, 4, 4]
        assert [len(run.end_to_end_ns) for run in latency.runs] == [4, 4, 4]
        assert latency.plan == _BRIEF.turn
        assert latency.engine.startswith("onnxruntime ")
        assert latency.load_ns > 0
        assert latency.peak_memory_bytes is not None
        assert latency.sustained is None
        assert Latency.from_json(json.loads(json.dumps(latency.as_json()))) == latency
    expected = sorted(latencies[0].runs[0].model_ns)[1:3]
    assert expected[0] <= rounds_of(latencies[0]).p50[0] <= expected[1]


def test_models_go_on_without_a_pause_after_the_rounds(two: list[Path]) -> None:
    latencies = time_in_turns(two, threads=1, plan=_BRIEF, sustained_minutes=0.001)
    assert [len(each.sustained.minutes) for each in latencies if each.sustained] == [1, 1]


@pytest.mark.parametrize(
    ("first", "second", "rounds"),
    [
        pytest.param([1.0], [1.2], (8, 8), id="significant"),
        pytest.param([1.0], [1.01], (8, 8), id="significant percent"),
        pytest.param([1.0, 1.02], [1.02, 1.0], (8, 8), id="about equal"),
        pytest.param([1.0, 1.2], [1.2, 1.0], (12, 12), id="not significant"),
    ],
)
def test_rounds_end_when_the_order_is_clear(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    first: list[float],
    second: list[float],
    rounds: tuple[int, int],
) -> None:
    made = _run_with_times(monkeypatch, tmp_path, [first, second], [[], []])
    assert tuple(len(each.runs) for each in made) == rounds


def test_model_whose_place_is_clear_takes_no_further_turns(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    times = [[5.0], [1.0, 1.2], [1.2, 1.0]]
    made = _run_with_times(monkeypatch, tmp_path, times, [[], [], []])
    assert [len(each.runs) for each in made] == [8, 12, 12]


def test_disturbed_model_takes_further_turns(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Five undisturbed turns of eight are enough; here the first four are not.
    made = _run_with_times(monkeypatch, tmp_path, [[1.0], [2.0]], [[], [0, 1, 2, 3]])
    assert [len(each.runs) for each in made] == [8, 9]


def _run_with_times(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    times: list[list[float]],
    disturbed: list[list[int]],
) -> list[Latency]:
    """Return what is measured if each model's turns take its times, milliseconds, in a cycle."""

    class Process:
        def __init__(self, folder: Path, arguments: object) -> None:
            del arguments
            self._position = int(folder.name)
            self._turn = 0
            self._asked = False

        def ask(self, request: str) -> dict[str, object]:
            assert request == "turn"
            mine = times[self._position]
            busy = 9.0 if self._turn in disturbed[self._position] else 0.0
            ns = round(mine[self._turn % len(mine)] * 1e6)
            self._turn += 1
            nothing = {"seconds": 1.0, "steal_share": 0.0, "involuntary_switches": 0, "load": None}
            return {
                "model_ns": [ns] * 20, "end_to_end_ns": [ns] * 20, "pre_ns": [1] * 20,
                "post_ns": [1] * 20, "energy_j": None, "temperature_c": [None, None],
                "disturbance": nothing
                | {"others_cores": busy, "frequency_mhz": [None, None], "throttled": []},
            }  # fmt: skip

        def reply(self) -> dict[str, object]:
            return {
                "schema": 3, "engine": "e 1", "provider": "cpu", "threads": 1, "load_ns": 1,
                "plan": {"seconds": 0.0, "count": 20, "runs": 8}, "first_ns": 1, "runs": [],
                "warm_up": {"count": 1, "stable": True}, "peak_memory_bytes": None, "host": {},
                "sustained": None,
            }  # fmt: skip

        def close(self) -> None:
            pass

    monkeypatch.setattr(turns, "_Process", Process)
    folders = [tmp_path / str(i) for i in range(len(times))]
    plan = TurnsPlan(TimingPlan(0.0, 20, 8), most_rounds=12)
    return list(time_in_turns(folders, threads=1, plan=plan))


def test_where_memory_is_short_each_turn_has_its_own_process(
    two: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Path] = []
    process = turns._Process

    class Counted(process):  # type: ignore[misc, valid-type]
        def __init__(self, folder: Path, arguments: list[str]) -> None:
            assert not _processes()
            started.append(folder)
            super().__init__(folder, arguments)

    monkeypatch.setattr(turns, "_Process", Counted)
    monkeypatch.setattr(host, "available_memory_bytes", lambda: 64 << 20)
    latencies = time_in_turns(two, threads=1, plan=_BRIEF)
    assert [len(each.runs) for each in latencies] == [3, 3]
    # To open, and for three turns each.
    assert len(started) == 8


def test_failure_of_a_model_ends_with_its_reason_and_leaves_no_process(
    two: list[Path], capfd: pytest.CaptureFixture[str]
) -> None:
    (two[1] / "model.onnx").write_bytes(b"torn")
    with pytest.raises(TurnError) as caught:
        time_in_turns(two, threads=1, plan=_BRIEF)
    assert caught.value.exit_code == 6
    assert "other/model.onnx has 4 bytes, but contract.json states" in capfd.readouterr().err
    assert not _processes()
    assert main(["compare", *map(str, two), *_WORDS]) == 6


def test_killed_process_is_named(two: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    take = turns._Timed.take_turn

    def kill(self: turns._Timed) -> None:
        for number in _processes():
            os.kill(int(number), signal.SIGKILL)
        take(self)

    monkeypatch.setattr(turns._Timed, "take_turn", kill)
    with pytest.raises(EdgetlUsageError, match=r"times .*model was ended by signal 9\n  it may"):
        time_in_turns(two, threads=1, plan=_BRIEF)


def test_processes_end_with_their_parent(two: list[Path]) -> None:
    command = [sys.executable, "-m", "edgetl.runtime", "compare", *map(str, two)]
    parent = subprocess.Popen([*command, "--seconds", "0.05", "--rounds", "2000"])
    until = time.monotonic() + 60
    while len(_processes()) < 2:
        assert time.monotonic() < until
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    while _processes():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_compare_prints_figures_and_order(
    two: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *map(str, two), *_WORDS]) == 0
    lines = capsys.readouterr().out.splitlines()
    for line in lines[:2]:
        assert "  p50 0." in line
        assert "p95 unknown ms, 2 rounds" in line
    assert "do not differ significantly: " in lines[2]
    assert lines[2].endswith("[0.00 inf] times as long")


def test_compare_prints_latencies_as_json(
    two: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *map(str, two), *_WORDS, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [len(Latency.from_json(each).runs) for each in printed["latencies"]] == [2, 2]
