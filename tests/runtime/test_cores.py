from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgetl.runtime.cores import usable_cores, usable_threads
from edgetl.runtime.engines import Session, open_session
from edgetl.runtime.predictor import Predictor


@pytest.mark.parametrize(
    ("group", "files", "cores"),
    [
        pytest.param("", {}, 8, id="no control groups"),
        pytest.param("0::/", {"cpu.max": "max 100000"}, 8, id="no limit"),
        pytest.param("0::/", {"cpu.max": "300000 100000"}, 3, id="container"),
        pytest.param("0::/a/b", {"a/b/cpu.max": "200000 100000"}, 2, id="service"),
        pytest.param(
            "0::/a/b",
            {"a/b/cpu.max": "max 100000", "a/cpu.max": "100000 50000"},
            2,
            id="group above",
        ),
        pytest.param(
            "0::/host/path", {"cpu.max": "400000 100000"}, 4, id="path of another namespace"
        ),
        pytest.param("0::/", {"cpu.max": "150000 100000"}, 1, id="one and a half"),
        pytest.param("0::/", {"cpu.max": "50000 100000"}, 1, id="half a core"),
        pytest.param("0::/", {"cpu.max": "1600000 100000"}, 8, id="more than there are"),
        pytest.param(
            "7:memory:/m\n4:cpu,cpuacct:/d",
            {
                "cpu,cpuacct/d/cpu.cfs_quota_us": "200000",
                "cpu,cpuacct/d/cpu.cfs_period_us": "100000",
                "memory/m/cpu.cfs_quota_us": "100000",
                "memory/m/cpu.cfs_period_us": "100000",
            },
            2,
            id="version 1",
        ),
        pytest.param(
            "4:cpu,cpuacct:/d",
            {"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"},
            3,
            id="version 1 in a container",
        ),
        pytest.param(
            "4:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8, id="-1"
        ),
    ],
)
def test_cores_are_those_that_the_control_groups_leave(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    group: str,
    files: dict[str, str],
    cores: int,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(f"{group}\n")
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    assert usable_cores(tmp_path) == cores


def test_threads_within_the_cores_are_used_without_a_word(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgetl.runtime.cores.usable_cores", lambda: 4)
    assert [usable_threads(count) for count in (1, 4)] == [1, 4]
    assert caplog.messages == []


@pytest.mark.parametrize(("cores", "named"), [(1, "1 core"), (2, "2 cores")])
def test_more_threads_than_cores_are_capped(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, cores: int, named: str
) -> None:
    monkeypatch.setattr("edgetl.runtime.cores.usable_cores", lambda: cores)
    assert usable_threads(6) == cores
    assert caplog.messages == [
        f"6 threads were requested, but this process may use {named} only: running with {cores}"
    ]


def test_session_is_opened_with_the_usable_threads(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []

    def record(name: str, file: Path, threads: int, provider: str) -> Session:
        opened.append(threads)
        return open_session(name, file, threads, provider)

    monkeypatch.setattr("edgetl.runtime.predictor.open_session", record)
    monkeypatch.setattr("edgetl.runtime.cores.usable_cores", lambda: 2)
    assert Predictor.open(model_folder, 64).threads == 2
    assert Predictor.open(model_folder).threads == 1
    assert opened == [2, 1]


def test_sentence_is_on_standard_error_and_the_threads_used_are_recorded(
    model_folder: Path,
) -> None:
    words = ["bench", str(model_folder), "--threads", "4096", "--json"]
    amounts = ["--seconds", "0", "--count", "1", "--runs", "1"]
    code = (
        "import os, sys; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        "from edgetl.runtime.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, *words, *amounts]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == (
        "4096 threads were requested, but this process may use 1 core only: running with 1\n"
    )
    assert '"threads": 1,' in done.stdout
