"""Whole bundles on emulated boards: their golden samples, and what they say of every test image.

Two tiny recipes are run as a user would, a classifier and a detector, each for ONNX Runtime and
LiteRT in fp32 and int8. Then every bundle is checked on an emulated Cortex-A72 and A76, and answers
its test images there and here. The same are:

- float outputs, to 1e-4 of their range: other kernels add in another order;
- integer outputs, bit by bit or one step apart, and so the class of each image whose two best
  classes are further apart than that. ONNX Runtime adds two int8 tensors in float, and one sum in
  half a million is a tie that falls to the other side on Arm; what the layers behind make of it may
  be more than a step, so one image in ten may differ there. LiteRT adds in integers;
- what a detector finds after suppression, as `edgetl.runtime.agreement` compares it: every object
  of an fp32 file but for one in a hundred, and of an int8 file but for one in ten. SiLU in int8 is
  computed in float between two roundings; a tie that falls to the other side on the board moves an
  inner value by a step, the layers behind carry it on, and an object near a threshold may go.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgetl.devices import open_device
from edgetl.gate.bundle import find_images, open_bundle
from edgetl.runtime.agreement import Comparison
from edgetl.runtime.bundle import runtime_files
from edgetl.runtime.contract import Contract
from edgetl.runtime.predictor import Predictor
from edgetl.store.store import Store
from edgetl.types import Split

pytestmark = [pytest.mark.emulated, pytest.mark.timeout(1200)]

Done = subprocess.CompletedProcess[str]
Outputs = Mapping[str, NDArray[np.float32]]

CPUS = ("cortex-a72", "cortex-a76")
TARGETS = ("onnx-fp32", "onnx-int8", "tflite-fp32", "tflite-int8")
FLOAT_SHARE = 1e-4
STEP_SHARE = 1 / 255
TIES = 0.1
"""Share of images in which a tie may fall to the other side."""

_RECIPES = {
    "classification": """\
name: tiny
task: classification
data: {path: images, val: 0.1, test: 0.15, seed: 0}
input: {size: 32, fit: stretch}
teacher: {family: mobilenet_v2, width: 0.25, weights: none}
finetune: {strategy: full, epochs: 12, batch_size: 16}
calibration: tiny
targets: [onnx-fp32, onnx-int8, tflite-fp32, tflite-int8]
""",
    "detection": """\
name: tiny
task: detection
data: {path: images, val: 0.1, test: 0.15, seed: 0}
input: {size: 64}
teacher: {family: yolox_nano, width: 0.5, weights: none}
finetune: {epochs: 24, batch_size: 4, lr: 0.02, augment: flip}
calibration: tiny
targets: [onnx-fp32, onnx-int8, tflite-fp32, tflite-int8]
""",
}
_NUM_IMAGES = {"classification": 240, "detection": 140}
_CALIBRATION = """\
name: tiny
split: train
count: 12
sampling: balanced
"""
# Without a device nothing is timed, and bundles are handed over as unverified.
_TARGET = """\
name: {name}
description: a board that is not at hand
device: null
threads: 1
candidates: {{{format}: [{precision}]}}
limits: {{drop_pp: 100, better_than_guessing: false}}
"""
_ANSWER = """\
import sys
from pathlib import Path
import numpy as np
from edgetl.runtime.predictor import Predictor
images = np.load("images.npy")
for name in sys.argv[1:]:
    np.savez(f"{name}.npz", **Predictor.open(Path(name)).run({"image": images}))
"""


@pytest.fixture(scope="class")
def project(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    edgetl: Callable[..., Done],
) -> Path:
    """Return a folder where a recipe was run; `dist` holds one bundle for each of `TARGETS`."""
    task: str = request.cls.task
    folder = tmp_path_factory.mktemp(task)
    count = str(_NUM_IMAGES[task])
    done = edgetl(folder, "generate", "images", "--task", task, "--images", count)
    assert done.returncode == 0, done.stderr
    files = {"recipe.yaml": _RECIPES[task], "calibration/tiny.yaml": _CALIBRATION}
    for name in TARGETS:
        kind, precision = name.split("-")
        text = _TARGET.format(name=name, format=kind, precision=precision)
        files[f"targets/{name}.yaml"] = text
    for path, text in files.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    done = edgetl(folder, "run", "recipe.yaml", OMP_NUM_THREADS="1")
    assert done.returncode == 5, done.stdout + done.stderr
    assert done.stdout.count("(unverified: no device)") == len(TARGETS)
    return folder


class Boards:
    """The tests of one task; a worker runs those of a class alone and so makes its bundles once."""

    @pytest.mark.parametrize("cpu", CPUS)
    def test_bundles_install_and_replay_their_golden_samples(
        self, project: Path, cpu: str, edgetl: Callable[..., Done]
    ) -> None:
        for name in TARGETS:
            done = edgetl(
                project, "check", f"dist/{name}", "--target", name, "--json",
                "--device", f"emulated:{cpu}", "--require", "emulated",
            )  # fmt: skip
            assert done.returncode == 0, (name, done.stdout, done.stderr)
            cases = {case["name"]: case for case in json.loads(done.stdout)["cases"]}
            for case in ("golden samples", "fitted pixels"):
                found = (cases[case]["status"], cases[case]["provenance"])
                assert found == ("passed", "emulated"), (name, cases[case])

    @pytest.mark.parametrize("cpu", CPUS)
    def test_every_test_image_is_answered_as_it_is_here(
        self, project: Path, cpu: str, tmp_path: Path
    ) -> None:
        images = _test_images(project)
        there = _answers_on(f"emulated:{cpu}", project, images, tmp_path)

        for name in TARGETS:
            predictor = Predictor.open(project / "dist" / name)
            here, contract = predictor.run({"image": images}), predictor.contract
            allowed = _allowed(predictor, here)
            if contract.nms is None:
                _same_classes(contract, here["logits"], there[name]["logits"], allowed["logits"])
            else:
                _same_objects(contract, here, there[name], allowed)
            if contract.precision == "fp32":
                for output, values in here.items():
                    worst = np.abs(there[name][output] - values).max()
                    assert worst <= allowed[output], (name, output)


class TestClassifier(Boards):
    task = "classification"


class TestDetector(Boards):
    task = "detection"


def _test_images(project: Path) -> NDArray[np.uint8]:
    bundle = open_bundle(project / "dist" / TARGETS[0], TARGETS[0])
    images = find_images(bundle, Store(project / ".edgetl"))
    assert images is not None
    return np.array(images.dataset.images(Split.TEST))


def _answers_on(
    address: str, project: Path, images: NDArray[np.uint8], work: Path
) -> dict[str, Outputs]:
    np.save(work / "images.npy", images)
    (work / "answer.py").write_text(_ANSWER, encoding="utf-8")
    with open_device(address).connect() as connection:
        own = {name: work / name for name in ("images.npy", "answer.py")}
        connection.put({**runtime_files(), **own})
        for name in TARGETS:
            folder = project / "dist" / name
            model = {f"{name}/{path.name}": path for path in folder.iterdir() if path.is_file()}
            connection.put(model)
        connection.run(["answer.py", *TARGETS], timeout_s=300)
        connection.get([f"{name}.npz" for name in TARGETS], work)
    found: dict[str, Outputs] = {}
    for name in TARGETS:
        with np.load(work / f"{name}.npz") as arrays:
            found[name] = {output: arrays[output] for output in arrays.files}
    return found


def _allowed(predictor: Predictor, here: Outputs) -> dict[str, float]:
    """Return by how much outputs may differ: a share of their range, or a step of their scale."""
    share = FLOAT_SHARE if predictor.contract.precision == "fp32" else STEP_SHARE
    scales = {info.name: info.scale for info in predictor.session.outputs}
    return {
        output.name: scales[output.tensor] or share * float(np.ptp(here[output.name]))
        for output in predictor.contract.outputs
    }


def _same_classes(
    contract: Contract, here: NDArray[np.float32], there: NDArray[np.float32], allowed: float
) -> None:
    name = f"{contract.format} {contract.precision}"
    within = np.abs(there - here).max(axis=1) <= 1.001 * allowed  # a step is no exact float
    ties = TIES if (contract.format, contract.precision) == ("onnx", "int8") else 0.0
    assert 1 - within.mean() <= ties, (name, np.abs(there - here).max(axis=1))
    first, second = np.sort(here, axis=1)[:, :-3:-1].T
    clear = first - second > allowed
    assert clear.mean() > 0.7, name
    assert len(set(here[clear].argmax(axis=1))) > 2, f"{name} says the same of all images"
    same = there.argmax(axis=1) == here.argmax(axis=1)
    assert same[clear & within].all(), name


def _same_objects(
    contract: Contract, here: Outputs, there: Outputs, allowed: Mapping[str, float]
) -> None:
    comparison = Comparison.of(contract, allowed)
    tally = comparison.count(here, there)
    name = f"{contract.format} {contract.precision}"
    assert tally.total >= 20, f"{name} finds too little to compare"
    assert tally.lost <= comparison.tolerance(tally.total), (name, tally)
