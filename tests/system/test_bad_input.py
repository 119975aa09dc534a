"""Wrong recipes, weights, targets and packages: one paragraph, a remedy, an exit code, no loss."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

Done = subprocess.CompletedProcess[str]
Edgetl = Callable[..., Done]
Digests = Callable[[Path], dict[str, str]]

_HIDING = """\
import os, sys

HIDDEN = os.environ["HIDDEN_PACKAGES"].split(",")


class Hiding:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            return None
        return self.finder.find_spec(name, path, target)

    def find_distributions(self, context=None):
        if context is None or context.name not in HIDDEN:
            yield from getattr(self.finder, "find_distributions", lambda context: ())(context)


sys.meta_path[:] = [Hiding(finder) for finder in sys.meta_path]
"""

_SMALL_MEMORY = """\
import os

sysconf = os.sysconf
os.sysconf = lambda name: 1 if name == "SC_PHYS_PAGES" else sysconf(name)
"""


def _refused(done: Done, code: int, *messages: str) -> None:
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("edgetl: ")
    assert "Traceback" not in done.stderr
    assert "\n\n" not in done.stderr
    for message in messages:
        assert message in done.stderr


def _candidates(project: Path, text: str) -> None:
    target = project / "targets" / "host.yaml"
    old = "candidates:\n  onnx: [fp32, int8]\n"
    target.write_text(target.read_text("utf-8").replace(old, f"candidates: {text}\n"), "utf-8")


@pytest.mark.parametrize(
    ("line", "messages"),
    [
        ("finetune: {epocs: 2}", ["recipe.yaml:6: finetune.epocs: unknown key", "'epochs'?"]),
        (
            "finetune: {epochs: soon}",
            ["recipe.yaml:6: finetune.epochs: is 'soon'; must be a whole"],
        ),
        ("finetune: fast", ["recipe.yaml:6: finetune: is 'fast'; must be a table"]),
        ("finetune: {epochs: 1, epochs: 2}", ["recipe.yaml:6", "already defined in line 6"]),
        ("finetune: {epochs: [}", ["recipe.yaml:6: not YAML"]),
        ("finetune: {epochs: -1}", ["recipe.yaml:6: finetune.epochs: is -1", "greater than"]),
        ("quantise: {}", ["recipe.yaml:6: quantise: unknown key"]),
    ],
)
def test_wrong_line_of_a_recipe_is_named(
    project: Path, edgetl: Edgetl, line: str, messages: list[str]
) -> None:
    recipe = project / "recipe.yaml"
    lines = recipe.read_text("utf-8").splitlines()
    assert lines[5].startswith("finetune")
    lines[5] = line
    recipe.write_text("\n".join(lines), "utf-8")
    _refused(edgetl(project, "run", "recipe.yaml"), 3, *messages)
    assert not (project / ".edgetl").exists()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"- a\n- b\n", b"just text"])
def test_file_that_is_no_recipe_is_refused(project: Path, edgetl: Edgetl, content: bytes) -> None:
    (project / "recipe.yaml").write_bytes(content)
    _refused(edgetl(project, "run", "recipe.yaml"), 3, "edgetl: recipe.yaml: ")


def test_all_problems_of_a_recipe_are_told_at_once(project: Path, edgetl: Edgetl) -> None:
    words = ("teacher.family=resnet", "student.family=mobilnet_v2", "teacher.weights=gone.pth")
    sets = [word for each in words for word in ("--set", each)]
    done = edgetl(project, "plan", "recipe.yaml", *sets)
    _refused(done, 3, "unknown model family 'resnet'", "Did you mean 'mobilenet_v2'?", "gone.pth")


def test_unknown_executor_is_refused(finished: Path, edgetl: Edgetl) -> None:
    done = edgetl(finished, "run", "recipe.yaml", "--executor", "proceses")
    _refused(done, 2, "unknown executor 'proceses'", "Did you mean 'processes'?", "serial")
    assert edgetl(finished, "run", "recipe.yaml", "--executor", "serial").returncode == 0


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (["nowhere.yaml"], ["nowhere.yaml: no such file", "edgetl init"]),
        (["images"], ["images: is a folder", "edgetl run images/recipe.yaml"]),
        (
            ["recipe.yaml", "--set", "targets=[rpi44]"],
            ["targets/rpi44.yaml", "did you mean 'rpi4'"],
        ),
        (["recipe.yaml", "--set", "calibration=tinny"], ["did you mean 'tiny'"]),
        (["recipe.yaml", "--set", "teacher.width=0"], ["teacher.width: is 0"]),
        (
            ["recipe.yaml", "--set", "teacher.weights=imagenet"],
            ["--set teacher.weights=imagenet: teacher.weights: ", "exist for width 1.0 only"],
        ),
        (
            ["recipe.yaml", "--set", "finetune.strategy=linear-probe"],
            ["finetune.strategy", "set `strategy: full`, or give weights"],
        ),
        (
            ["recipe.yaml", "--set", "finetune.strategy=ful"],
            [
                "finetune.strategy: unknown strategy 'ful'; did you mean 'full'?",
                "known for `task: classification`: full, linear-probe, probe-then-full",
            ],
        ),
        (
            ["recipe.yaml", "--set", "finetune.probe_epochs=3"],
            ["finetune.probe_epochs: unknown key", "belongs to `strategy: linear-probe` or"],
        ),
        (
            ["recipe.yaml", "--set", "distill.method=pkd"],
            ["distill.method: distillation method 'pkd' is for `task: detection`; known for"],
        ),
    ],
)
def test_what_does_not_fit_together_is_refused_before_anything_runs(
    project: Path, edgetl: Edgetl, words: list[str], messages: list[str]
) -> None:
    _refused(edgetl(project, "run", *words), 3, *messages)
    assert not list(project.glob(".edgetl/artifacts/*"))


def test_calibration_larger_than_its_split_is_refused(project: Path, edgetl: Edgetl) -> None:
    calibration = project / "calibration" / "tiny.yaml"
    calibration.write_text(calibration.read_text("utf-8").replace("12", "31"), "utf-8")
    done = edgetl(project, "plan", "recipe.yaml")
    _refused(done, 3, "calibration: 'tiny' needs 31 images of the train split, which has 30")


@pytest.mark.parametrize(
    ("candidates", "messages"),
    [
        ("{openvino: [w8a16]}", ["candidates.openvino", "no w8a16 of openvino; it has fp32, fp16"]),
        ("{onxx: [fp32]}", ["candidates.onxx: unknown format 'onxx'; did you mean 'onnx'?"]),
        ("{onnx: [int4]}", ["candidates.onnx.0: is 'int4'; must be 'fp32', 'fp16', 'int8'"]),
        ("{}", ["targets/host.yaml", "candidates"]),
    ],
)
def test_impossible_candidate_is_refused(
    project: Path, edgetl: Edgetl, candidates: str, messages: list[str]
) -> None:
    _candidates(project, candidates)
    done = edgetl(project, "plan", "recipe.yaml")
    _refused(done, 3, "targets/host.yaml", *messages)
    assert len(done.stderr.splitlines()) == 2  # said once


@pytest.mark.parametrize(
    ("hidden", "candidates", "extra"),
    [
        ("openvino", "{openvino: [fp32]}", "openvino"),
        ("nncf", "{openvino: [int8]}", "openvino"),
        ("onnxruntime", "{onnx: [fp32]}", "onnx"),
        ("onnxscript", "{onnx: [fp32]}", "onnx"),
        ("litert_torch", "{tflite: [fp32]}", "tflite"),
        ("ai_edge_quantizer", "{tflite: [int8]}", "tflite"),
    ],
)
def test_missing_extra_is_named_before_anything_runs(
    project: Path, edgetl: Edgetl, hidden: str, candidates: str, extra: str
) -> None:
    if find_spec(hidden) is None:  # importing it would take seconds
        pytest.skip(f"{hidden} is not installed")
    _candidates(project, candidates)
    hiding = {"PYTHONPATH": _hiding(project), "HIDDEN_PACKAGES": hidden}
    planned = edgetl(project, "plan", "recipe.yaml", **hiding)
    assert planned.returncode == 0, planned.stderr
    assert planned.stdout.endswith(f"which is not installed\n  pip install 'edgetl[{extra}]'\n")
    done = edgetl(project, "run", "recipe.yaml", **hiding)
    _refused(done, 4, hidden, f"pip install 'edgetl[{extra}]'")
    assert not list(project.glob(".edgetl/artifacts/*"))


def test_extras_that_no_target_needs_may_be_missing(finished: Path, edgetl: Edgetl) -> None:
    hidden = "openvino,nncf,litert_torch,ai_edge_litert,ai_edge_quantizer"
    done = edgetl(
        finished, "run", "recipe.yaml", PYTHONPATH=_hiding(finished), HIDDEN_PACKAGES=hidden
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("[reused]") == 12


def _hiding(folder: Path) -> str:
    """Return a PYTHONPATH with which Python finds no package named in HIDDEN_PACKAGES."""
    return _customized(folder, _HIDING)


def _customized(folder: Path, code: str) -> str:
    """Return a PYTHONPATH with which Python runs `code` when it starts."""
    place = folder / "customized"
    place.mkdir()
    (place / "sitecustomize.py").write_text(code, "utf-8")
    # A checkout that is found by PYTHONPATH stays in it.
    return os.pathsep.join(filter(None, (str(place), os.environ.get("PYTHONPATH"))))


def _weights(finished: Path, label: str) -> bytes:
    for path in finished.glob(".edgetl/artifacts/*/*/manifest.json"):
        if json.loads(path.read_text("utf-8"))["label"] == label:
            return (path.parent / "model.safetensors").read_bytes()
    raise AssertionError(label)


@pytest.mark.parametrize("kind", ["torn", "foreign"])
def test_weights_that_do_not_fit_are_refused_and_the_dataset_is_kept(
    finished: Path, edgetl: Edgetl, digests: Digests, kind: str
) -> None:
    name, messages = {
        "torn": ("torn.safetensors", ["cannot be read as weights", "get the file again"]),
        "foreign": ("foreign.safetensors", ["of the backbone matches", "same family and width"]),
    }[kind]
    content = _weights(finished, "distill" if kind == "foreign" else "finetune")
    (finished / name).write_bytes(content if kind == "foreign" else content[: len(content) // 2])
    shutil.rmtree(finished / ".edgetl" / "artifacts" / "finetune")
    done = edgetl(finished, "run", "recipe.yaml", "--set", f"teacher.weights={name}")
    assert done.stdout == ""  # refused before anything ran
    _refused(done, 3, name, *messages)
    assert "index" in digests(finished)
    assert list((finished / "dist").iterdir()) == [finished / "dist" / "host"]


def test_weights_file_that_is_missing_is_refused_in_the_plan(project: Path, edgetl: Edgetl) -> None:
    done = edgetl(project, "plan", "recipe.yaml", "--set", "teacher.weights=gone.safetensors")
    where = "--set teacher.weights=gone.safetensors: teacher.weights"
    _refused(
        done, 3, f"{where}: there is no file", "correct --set teacher.weights=gone.safetensors"
    )


def test_images_larger_than_memory_are_refused_in_the_plan(project: Path, edgetl: Edgetl) -> None:
    """On a machine with one page of memory; an image of 32 x 32 pixels takes 3,072 bytes."""
    (project / "site").mkdir()
    for path in sorted(project.glob("images/gear/*"))[:2]:
        path.rename(project / "site" / path.name)
    done = edgetl(
        project, "plan", "recipe.yaml", "--set", "unlabelled={path: site}",
        "--set", "data.exclude=[nut/*, bracket/*]", PYTHONPATH=_customized(project, _SMALL_MEMORY),
    )  # fmt: skip
    kept = sum(1 for path in project.glob("images/*/*") if path.parts[-2] not in {"nut", "bracket"})
    _refused(
        done,
        3,
        "recipe.yaml:4: input.size: is too large for the 0.0 GiB of memory of this machine: "
        f"{kept} images of `data` take 0.0 GiB at 32 px, 2 images of `unlabelled` take 0.0 GiB at "
        "32 px; lower it, or use fewer images\n",
        "\n  edit recipe.yaml, or the file that it names, and run again\n",
    )
