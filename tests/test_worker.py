from __future__ import annotations

from pathlib import Path

import pytest

from edgetl.errors import EdgetlError
from edgetl.worker import run_worker


def test_worker_is_silent_and_gets_its_arguments(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "member.txt").write_text("x")

    run_worker(
        "zipfile",
        ("-c", str(tmp_path / "made.zip"), str(tmp_path / "member.txt")),
        failure="no zip",
        remedy="none",
    )

    assert (tmp_path / "made.zip").is_file()
    assert capfd.readouterr() == ("", "")


def test_failed_worker_is_told_by_its_last_lines() -> None:
    with pytest.raises(
        EdgetlError, match=r"no zip; it ended with 1: .*FileNotFoundError"
    ) as caught:
        run_worker("zipfile", ("-l", "missing.zip"), failure="no zip", remedy="make one")

    assert caught.value.remedy == "make one"


def test_worker_does_not_import_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "decoy.py").write_text("raise SystemExit(0)")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(EdgetlError, match="No module named decoy"):
        run_worker("decoy", (), failure="stopped", remedy="none")
