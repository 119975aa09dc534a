"""What CI sees of a check: exit codes, files, one paragraph for what cannot be checked."""

from __future__ import annotations

import hashlib
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner
from defusedxml.ElementTree import parse

from edgetl.cli import edgetl
from edgetl.config.load import load_target
from edgetl.errors import ConfigError, DeviceError

_CLASSES: list[dict[str, object]] = [
    {"label": label, "support": 30, "figures": {}} for label in ("red", "blue")
]
_TARGET = """\
name: board
description: a board
device: local
threads: 1
candidates: {onnx: [fp32]}
"""


@pytest.fixture
def damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, examples: Any) -> Path:
    """Return a folder with a target and a bundle whose model is not the one of its manifest."""
    monkeypatch.chdir(tmp_path)
    files = {"model.onnx": "0" * 64}
    board, far = (
        examples.bundle(
            name,
            files=files,
            accuracy=examples.verification("onnx fp32", classes=_CLASSES),
        ).model_dump_json(by_alias=True)
        for name in ("board", "far")
    )
    for name, text in (
        ("dist/board/manifest.json", board),
        ("dist/board/model.onnx", "torn"),
        ("dist/far/manifest.json", far),
        ("targets/board.yaml", _TARGET),
        ("targets/far.yaml", _TARGET.replace("board", "far").replace("local", "null")),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_red_check_leaves_its_files_and_its_exit_code(damaged: Path) -> None:
    words = ["check", "dist/board", "--target", "board", "--json"]
    words += ["--junit", "out/check.xml", "--markdown", "out/check.md"]
    done = CliRunner().invoke(edgetl, words)
    assert done.exit_code == 6
    facts = json.loads(done.stdout)
    assert (facts["verdict"], facts["exit_code"]) == ("failed", 6)
    assert "'model.onnx' was changed" in facts["cases"][0]["reason"]
    assert 'failures="1"' in (damaged / "out" / "check.xml").read_text()
    assert "| files | **failed** |" in (damaged / "out" / "check.md").read_text()


def test_report_of_an_earlier_check_does_not_stay(damaged: Path) -> None:
    (damaged / "check.xml").write_text("<testsuites/>")
    words = ["check", "nowhere", "--target", "board", "--junit", "check.xml"]
    assert CliRunner().invoke(edgetl, words).exit_code != 0
    assert not (damaged / "check.xml").exists()


def test_damaged_bundle_makes_no_baseline(damaged: Path) -> None:
    done = CliRunner().invoke(edgetl, ["baseline", "update", "dist/board"])
    assert "'model.onnx' was changed" in str(done.exception)
    assert not (damaged / "baseline.json").exists()


def test_baseline_for_another_target_is_refused_in_words_that_fit(damaged: Path) -> None:
    del damaged
    words = ["baseline", "update", "dist/board", "--target", "far"]
    with pytest.raises(ConfigError, match="was made for 'board', not 'far'") as error:
        CliRunner().invoke(edgetl, words, catch_exceptions=False)
    assert error.value.remedy == "name the bundle of 'far', or give --target board"


def test_manifest_is_no_baseline(damaged: Path) -> None:
    words = ["check", "dist/board", "--target", "board", "--baseline", "dist/board/manifest.json"]
    done = subprocess.run(
        [sys.executable, "-m", "edgetl", *words],
        cwd=damaged,
        capture_output=True,
        text=True,
        check=False,
    )
    *lines, remedy = done.stderr.splitlines()
    assert (done.returncode, len(lines)) == (3, 5)
    assert lines[0] == "edgetl: dist/board/manifest.json: is not a baseline"
    assert remedy.strip() == "give a file written by: edgetl baseline update dist/board"


def test_device_that_cannot_be_reached_is_an_error_in_the_files_of_a_server(damaged: Path) -> None:
    words = ["check", "dist/far", "--target", "far", "--junit", "k.xml", "--markdown", "k.md"]
    with pytest.raises(DeviceError, match="names no device") as error:
        CliRunner().invoke(edgetl, words, catch_exceptions=False)
    assert error.value.exit_code == 7
    (suite,) = parse(damaged / "k.xml").getroot()
    (case,) = suite.iter("testcase")
    assert (case.attrib["name"], suite.attrib["errors"]) == ("device", "1")
    assert case.find("error").text == str(error.value)
    text = (damaged / "k.md").read_text()
    assert text.startswith("### edgetl check dist/far on far: not made\n\ntargets/far.yaml names")


def test_recipe_that_was_never_run_has_no_bundle(damaged: Path) -> None:
    del damaged
    done = CliRunner().invoke(edgetl, ["check", "parts", "--target", "board"])
    assert str(done.exception) == "parts has no complete run here\n  edgetl run parts"


def test_baseline_that_is_missing_is_a_mistake_of_the_caller(damaged: Path) -> None:
    del damaged
    words = ["check", "dist/board", "--target", "board", "--baseline", "b.json"]
    with pytest.raises(ConfigError, match=r"b\.json: no such file"):
        CliRunner().invoke(edgetl, words, catch_exceptions=False)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["dist/board"], 2, "Missing option '--target'"),
        (["nowhere", "--target", "board"], 2, "'nowhere' is neither the folder of a bundle nor"),
        (["dist", "--target", "board"], 6, "dist is not a bundle: it has no manifest.json"),
        (["dist/board", "--target", "bord"], 3, "did you mean 'board'?"),
        (
            ["dist/board", "--target", "far", "--device", "local"],
            3,
            "was made for 'board', not 'far'",
        ),
        (["dist/board", "--target", "far"], 3, "was made for 'board', not 'far'"),
        (["dist/far", "--target", "far"], 7, "targets/far.yaml names no device"),
        (["dist/board", "--target", "board", "--device", "sh"], 2, "unknown device 'sh'"),
        (
            ["dist/board", "--target", "board", "--device", "emulated:cortex-a72"],
            2,
            "is emulated, but --require measured needs a real one",
        ),
        (
            ["dist/board", "--target", "board", "--require", "estimated"],
            2,
            "'estimated' is not one of 'measured', 'emulated'",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistake_ends_in_one_paragraph(
    damaged: Path, words: list[str], code: int, message: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edgetl", "check", *words],
        cwd=damaged,
        capture_output=True,
        text=True,
        check=False,
    )
    assert message in done.stderr
    assert (done.returncode, done.stdout) == (code, "")
    assert "Traceback" not in done.stderr


def test_example_workflow_calls_commands_as_they_are() -> None:
    path = Path(__file__).parents[2] / ".github" / "workflows" / "edge-check.yml"
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    lines = [
        shlex.split(line.partition(" ||")[0])
        for job in jobs.values()
        for step in job["steps"]
        for line in step.get("run", "").splitlines()
        if line.startswith("edgetl ")
    ]
    assert [words[1] for words in lines] == ["run", "prune"]
    # How the action passes its inputs to `edgetl check` is tested in tests/system/test_ci_files.py.
    emulated, measured = (
        step["with"] for job in jobs.values() for step in job["steps"] if step.get("uses") == "./"
    )
    assert emulated["check"] == "dist/${{ env.TARGET }}"
    assert emulated["require"] == "emulated"
    # The board predicts on the test images only for a recipe, which has a store.
    assert measured["check"] == "${{ env.RECIPE }}"
    assert "require" not in measured
    upload, download = (
        next(step["with"] for step in jobs[job]["steps"] if action in step.get("uses", ""))
        for job, action in (("compile", "upload-artifact"), ("measure", "download-artifact"))
    )
    assert upload["path"].split() == ["dist", ".edgetl"]
    assert upload["include-hidden-files"] is True
    assert download == {"name": upload["name"]}
    for _, name, *words in lines:
        command = edgetl.get_command(click.Context(edgetl), name)
        assert command is not None
        # An option that the command does not know raises an error here.
        command.make_context(name, words)


@pytest.mark.parametrize(
    "words", [["check", "--target", "board"], ["baseline", "update", "--device", "local"]]
)
def test_machine_that_is_not_the_board_is_refused(damaged: Path, words: list[str]) -> None:
    profile = load_target("rpi4").model_dump(mode="json")
    profile |= {"name": "board", "device": "local"}
    (damaged / "targets" / "board.yaml").write_text(yaml.safe_dump(profile))
    path = damaged / "dist" / "board" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"] = {"model.onnx": hashlib.sha256(b"torn").hexdigest()}
    path.write_text(json.dumps(manifest))
    with pytest.raises(ConfigError, match="device 'local' is a different machine"):
        CliRunner().invoke(edgetl, [*words, "dist/board"], catch_exceptions=False)
