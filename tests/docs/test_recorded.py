"""Figures in the documentation are those of the scripts in ``benchmarks/`` as they are now."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs import recorded

_ROOT = Path(__file__).parents[2]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder with a script and a record of it."""
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "docs" / "measurements").mkdir(parents=True)
    script = tmp_path / "benchmarks" / "speed.py"
    script.write_text("print('1.5 ms')\n", encoding="utf-8")
    digest = hashlib.sha256(script.read_bytes()).hexdigest()
    record = tmp_path / "docs" / "measurements" / "speed.txt"
    record.write_text(f"benchmarks/speed.py --runs 3  sha256 {digest}\n\n1.5 ms\n", "utf-8")
    return tmp_path


def test_record_of_the_script_as_it_is_has_no_problem(root: Path) -> None:
    assert list(recorded.problems(root)) == []


def test_record_that_is_older_than_its_script_is_a_problem(root: Path) -> None:
    with (root / "benchmarks" / "speed.py").open("a", encoding="utf-8") as script:
        script.write("# changed\n")
    (problem,) = recorded.problems(root)
    assert problem == (
        "docs/measurements/speed.txt is older than its script; run "
        "`python docs/recorded.py benchmarks/speed.py`, with the arguments that its first lines "
        "describe"
    )


def test_record_without_a_script_is_a_problem(root: Path) -> None:
    (root / "benchmarks" / "speed.py").unlink()
    assert list(recorded.problems(root)) == [
        "docs/measurements/speed.txt: there is no benchmarks/speed.py; remove the record"
    ]


def test_records_of_this_repository_are_those_of_its_scripts() -> None:
    assert list((_ROOT / "docs" / "measurements").glob("*.txt"))
    assert list(recorded.problems(_ROOT)) == []


def test_page_shows_claims_with_records_then_scripts_without(root: Path) -> None:
    script = root / "benchmarks" / "speed.py"
    script.write_text('"""Claim: it is\nfast.\n\nMore.\n"""\n' + script.read_text("utf-8"), "utf-8")
    (root / "benchmarks" / "memory.py").write_text('"""Memory stays small."""\n', "utf-8")
    shown = recorded.sections(root)
    record = (root / "docs" / "measurements" / "speed.txt").read_text("utf-8")
    assert shown == (
        f"### speed\n\nIt is fast.\n\n```text\n{record}```\n\n"
        "### Without a record\n\nThere is no output of these scripts as they are now:\n\n"
        "- `memory.py`: Memory stays small.\n"
    )


def test_page_of_measurements_has_a_place_for_the_records() -> None:
    page = (_ROOT / "docs" / "measurements.md").read_text(encoding="utf-8")
    assert page.count("<!-- records -->") == 1


def test_output_is_recorded_below_digest_arguments_date_and_machine(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(recorded, "_ROOT", root)
    script = root / "benchmarks" / "speed.py"
    script.write_text("import sys\nprint(sys.argv[1:])\n", encoding="utf-8")
    assert recorded.main(script, ["--runs", "/somewhere/else/model.onnx"]) == 0
    assert capsys.readouterr().out == "['--runs', '/somewhere/else/model.onnx']\n"
    lines = (root / "docs" / "measurements" / "speed.txt").read_text("utf-8").splitlines()
    digest = hashlib.sha256(script.read_bytes()).hexdigest()
    assert lines[0] == f"benchmarks/speed.py --runs model.onnx  sha256 {digest}"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d, \d+ cores, \w+, load \d+\.\d", lines[1])
    assert lines[2:] == ["", "['--runs', '/somewhere/else/model.onnx']"]


def test_output_of_a_script_that_fails_is_not_recorded(root: Path) -> None:
    script = root / "benchmarks" / "broken.py"
    script.write_text("raise SystemExit(3)\n", encoding="utf-8")
    done = subprocess.run([sys.executable, "docs/recorded.py", str(script)], cwd=_ROOT, check=False)
    assert done.returncode == 3
    assert not (_ROOT / "docs" / "measurements" / "broken.txt").exists()
