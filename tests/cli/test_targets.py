"""The targets are listed, shown, and compared with devices."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from edgetl.boards import probe
from edgetl.cli import edgetl
from edgetl.config.load import known_files, load_target
from edgetl.devices.local import LocalDevice


def _output(*words: str) -> str:
    done = CliRunner().invoke(edgetl, ["targets", *words])
    assert done.exit_code == 0, done.output
    return done.output


def _run(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgetl", "targets", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_all_targets_are_listed_in_one_table() -> None:
    header, *rows = _output().splitlines()
    assert header.split() == [
        "target", "processor", "memory", "systems", "formats", "reached", "by",
    ]  # fmt: skip
    assert [row.split()[0] for row in rows] == sorted(known_files("targets"))
    (zero,) = [row for row in rows if row.startswith("rpi-zero2w")]
    for start in ("processor", "memory", "systems", "formats", "reached by"):
        column = header.index(start)
        assert zero[column - 2 : column] == "  "
        assert zero[column] != " "
    assert zero.split("  ", 1)[1].split() == [
        "4", "x", "Cortex-A53", "512", "MiB", "bookworm,", "trixie", "onnx,", "tflite", "-",
    ]  # fmt: skip
    (host,) = [row for row in rows if row.startswith("host")]
    assert host.endswith("onnx, openvino, tflite  local")


def test_list_is_printed_as_json() -> None:
    data = json.loads(_output("--json"))
    assert [target["name"] for target in data] == sorted(known_files("targets"))
    by_name = {target["name"]: target for target in data}
    assert by_name["host"]["board"] is None
    assert by_name["rpi5"]["board"]["features"] == ["dotprod"]


def test_target_is_shown_completely() -> None:
    shown = _output("show", "rpi4")
    for line in (
        "  reached by  nothing: its models stay unverified",
        "  limit       p95_ms 50.0",
        "  limit       better_than_guessing true",
        "  judge       point: figures by their value",
        "  board       Broadcom BCM2711, 4 x Cortex-A72, aarch64",
        "  features    none that speeds up int8",
        "  memory      1 GiB or more",
        "  system      bookworm: Python 3.11, glibc 2.36, onnxruntime 1.31.1, ai-edge-litert 2.3.0",
        "  identity    device_tree_model Raspberry Pi 4 Model B",
        "  identity    architecture aarch64",
        "  identity    cpu_part 0xd08",
    ):
        assert line in shown.splitlines()
    assert "  identity    features avx2\n" in _output("show", "x86-64")
    assert "identity    tegra_release # R36" in _output("show", "jetson-orin-nano")


def test_target_without_a_board_is_shown() -> None:
    assert "  reached by  local" in _output("show", "host")


def test_target_is_shown_as_json() -> None:
    assert json.loads(_output("show", "rpi4", "--json"))["device"] is None


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["rpi4"], 2, "'rpi4' is a target, not a subcommand\n  edgetl targets show rpi4"),
        (["mars"], 2, "No such command 'mars'"),
        (["show"], 2, "Missing argument 'NAME'"),
        (["show", "rpi44"], 3, "targets/rpi44.yaml: no such file; did you mean 'rpi4'?"),
        (
            ["--json", "show", "rpi4"],
            2,
            "--json must follow 'show'\n  edgetl targets show ... --json",
        ),
        (["check", "mars"], 3, "targets/mars.yaml: no such file"),
        (
            ["check", "rpi4"],
            2,
            "names no device\n  edgetl targets check rpi4 --device ssh://user@host",
        ),
        (["check", "rpi4", "--device", "usb:1"], 2, "unknown device 'usb:1'"),
        (["check", "--device", "moon"], 2, "unknown device 'moon'\n  Known: emulated, local, ssh."),
        (
            ["check"],
            2,
            "edgetl: neither a target nor a device was given\n  edgetl targets check --device ",
        ),
        (["list"], 2, "there is no subcommand 'list'\n  'edgetl targets' lists the targets"),
        (["show", "RPI4"], 3, "targets/RPI4.yaml: no such file; did you mean 'rpi4'?"),
        (["show", "targets/rpi4.yaml"], 3, "without folder and extension: did you mean 'rpi4'?"),
        (["check", "rpi4", "--device", "ssh://pi@127.0.0.1:1"], 7, "127.0.0.1:1"),
    ],
)
def test_mistake_ends_in_one_paragraph_and_its_exit_code(
    tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    done = _run(*words, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "\n\n" not in done.stderr or code == 2  # click's own messages have two
    assert done.stdout == ""


_VALID = "{name: %s, description: mine, device: %s, threads: 1, candidates: {%s: [fp32]}}\n"


def _targets(tmp_path: Path, **files: str) -> Path:
    (tmp_path / "targets").mkdir()
    for name, text in files.items():
        (tmp_path / "targets" / f"{name}.yaml").write_text(text)
    return tmp_path


def test_valid_targets_are_listed_despite_invalid_ones(tmp_path: Path) -> None:
    folder = _targets(
        tmp_path,
        far=_VALID % ("far", "sssh://pi@h", "onnx"),
        good=_VALID % ("good", "ssh://pi@h", "onnx"),
        odd=_VALID % ("odd", "null", "onxx"),
    )
    done = _run(cwd=folder)
    assert done.returncode == 3
    names = [line.split()[0] for line in done.stdout.splitlines()[1:]]
    assert names == sorted({*known_files("targets"), "good"})
    known = "Known: emulated, local, ssh."
    assert done.stderr == (
        "edgetl: targets/far.yaml:1: device: unknown device 'sssh://pi@h'; Did you mean "
        f"'ssh://pi@h'? {known}\n  edit targets/far.yaml and run again\n"
        "edgetl: targets/odd.yaml:1: candidates.onxx: unknown format 'onxx'; did you mean 'onnx'? "
        "known: onnx, openvino, tflite\n  edit targets/odd.yaml and run again\n"
    )
    data = json.loads(_run("--json", cwd=folder).stdout)
    assert [target["name"] for target in data] == names


@pytest.mark.parametrize("words", [["show", "odd"], ["check", "odd"], ["check", "odd", "--json"]])
@pytest.mark.parametrize(
    ("device", "format_", "message"),
    [
        (
            "local",
            "onxx",
            "odd.yaml:1: candidates.onxx: unknown format 'onxx'; did you mean 'onnx'",
        ),
        ("SSH://h", "onnx", "odd.yaml:1: device: unknown device 'SSH://h'; Did you mean 'ssh://h'"),
    ],
    ids=["format", "address"],
)
def test_invalid_target_is_refused_with_its_line(
    tmp_path: Path, words: list[str], device: str, format_: str, message: str
) -> None:
    done = _run(*words, cwd=_targets(tmp_path, odd=_VALID % ("odd", device, format_)))
    assert (done.returncode, done.stdout) == (3, "")
    assert message in done.stderr
    assert "  edit targets/odd.yaml and run again\n" in done.stderr


@pytest.fixture
def profile() -> dict[str, Any]:
    """Return a profile that this machine matches, made from its own facts."""
    facts = probe(LocalDevice(), load_target("host"))
    x86 = facts["machine"] == "x86_64"
    return {
        "name": "mine",
        "description": "this machine",
        "device": "local",
        "threads": 1,
        "candidates": {"onnx": ["fp32"]},
        "board": {
            "soc": "any",
            "processor": "any",
            "cores": facts["cores"],
            "architecture": facts["machine"],
            "features": ["avx2"] if x86 and "avx2" in facts["flags"] else [],
            "memory_mib": facts["memory_mib"],
            "systems": [
                {
                    "os": "this one",
                    "python": facts["python"].rpartition(".")[0],
                    "glibc": facts["glibc"],
                    "engines": {"onnxruntime": facts["packages"]["onnxruntime"]},
                }
            ],
            "identity": {"cpu_part": facts["cpu_parts"]},
        },
    }


def _written(tmp_path: Path, profile: dict[str, Any]) -> Path:
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "mine.yaml").write_text(yaml.safe_dump(profile), encoding="utf-8")
    return tmp_path


def test_matching_machine_is_compared_line_by_line(tmp_path: Path, profile: dict[str, Any]) -> None:
    done = _run("check", "mine", cwd=_written(tmp_path, profile))
    assert (done.returncode, done.stderr) == (0, "")
    first, header, *rows = done.stdout.splitlines()
    assert first.startswith("local (")
    assert first.endswith(") as mine:")
    assert header.split() == ["property", "expected", "actual"]
    assert [row.strip().split("  ")[0] for row in rows if "CPU part" not in row] == [
        "architecture", "cores", "features", "memory", "Python", "glibc", "numpy", "pillow",
        "engine of onnx",
    ]  # fmt: skip
    assert all(row.endswith("  ok") for row in rows)


def test_mismatching_machine_ends_with_3(tmp_path: Path, profile: dict[str, Any]) -> None:
    profile["board"]["identity"] = {"device_tree_model": ["Raspberry Pi 9"]}
    profile["board"]["cores"] += 1
    done = _run("check", "mine", cwd=_written(tmp_path, profile))
    assert done.returncode == 3
    wrong = [row.split("  ")[1] for row in done.stdout.splitlines() if row.endswith("  no")]
    assert wrong == ["board", "cores"]
    assert "edgetl: targets/mine.yaml: device 'local' is a different machine: board " in done.stderr
    assert "(expected Raspberry Pi 9), cores " in done.stderr
    assert "name the right device, or write a profile of this one" in done.stderr


def test_target_of_a_device_is_identified(tmp_path: Path, profile: dict[str, Any]) -> None:
    # More specific than a generic PC; on Arm the CPU part is.
    facts = probe(LocalDevice())
    if facts["model_name"]:
        profile["board"]["identity"] = {"model_name": facts["model_name"]}
    done = _run("check", "--device", "local", cwd=_written(tmp_path, profile))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].endswith(") as mine:")
    data = json.loads(_run("check", "--device", "local", "--json", cwd=tmp_path).stdout)
    assert data["target"] == "mine"


def test_device_is_not_probed_if_a_target_is_invalid(tmp_path: Path) -> None:
    folder = _targets(tmp_path, odd=_VALID % ("odd", "null", "onxx"))
    done = _run("check", "--device", "ssh://pi@127.0.0.1:1", cwd=folder)
    assert done.returncode == 3
    assert "targets/odd.yaml:1: candidates.onxx" in done.stderr


def test_engine_that_is_too_old_ends_with_3_and_the_line_for_pip(
    tmp_path: Path, profile: dict[str, Any]
) -> None:
    profile["board"]["systems"][0]["engines"] = {"onnxruntime": "99.0.0"}
    done = _run("check", "mine", "--device", "local", cwd=_written(tmp_path, profile))
    assert done.returncode == 3
    assert "lacks packages: engine of onnx onnxruntime " in done.stderr
    assert "-m pip install onnxruntime==99.0.0" in done.stderr


def test_comparison_is_printed_as_json(tmp_path: Path, profile: dict[str, Any]) -> None:
    profile["board"]["systems"][0]["python"] = "3.99"
    done = _run("check", "mine", "--json", cwd=_written(tmp_path, profile))
    assert done.returncode == 3
    assert "has a different system or Python: Python " in done.stderr
    data = json.loads(done.stdout)
    assert (data["target"], data["device"], data["provenance"]) == ("mine", "local", "measured")
    (python,) = [line for line in data["lines"] if line["name"] == "Python"]
    assert (python["expected"], python["ok"], python["aspect"]) == ("3.99", False, "python")
    assert data["facts"]["executable"] == sys.executable


def test_gpu_is_shown_and_its_package_looked_for(tmp_path: Path, profile: dict[str, Any]) -> None:
    profile["candidates"] = {"onnx": ["fp32"], "onnx@cuda": ["fp16"]}
    profile["board"]["systems"][0]["engines"]["onnxruntime-gpu"] = "1.23.0"
    folder = _written(tmp_path, profile)
    assert "  candidates  onnx fp32, onnx fp16 cuda\n" in _run("show", "mine", cwd=folder).stdout
    done = _run("check", "mine", cwd=folder)
    assert done.returncode == 3
    assert "lacks packages: engine of onnx@cuda not found (expected onnxruntime-gpu" in done.stderr
    assert "-m pip install onnxruntime-gpu==1.23.0" in done.stderr


def test_recipe_for_a_gpu_that_is_not_here_is_refused_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "gpu.yaml").write_text(
        "{name: gpu, description: mine, device: local, threads: 1, "
        "candidates: {onnx: [fp32], onnx@cuda: [fp32]}}"
    )
    command = [sys.executable, "-m", "edgetl", "run", "parts", "--set", "targets=[gpu]"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == (
        "edgetl: target 'gpu': a model of format 'onnx' on cuda needs the package "
        "'onnxruntime-gpu', which is not installed\n  pip install onnxruntime-gpu\n"
    )
    assert done.returncode == 4
    assert not list(tmp_path.glob(".edgetl/artifacts/*"))
