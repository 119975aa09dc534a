"""A model with two int32 inputs goes through the parity ladder, verify and the gate.

The task and the family of `token_package` derive its inputs from the images of a dataset.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgetl.config.calibration import Int8Table
from edgetl.config.recipe import InputTable
from edgetl.config.target import Target
from edgetl.data.dataset import IMAGES_FILE, Dataset, Item, write_images, write_index
from edgetl.devices import open_device
from edgetl.exporters import EXPORTERS
from edgetl.facts.verification import VerificationFacts
from edgetl.gate.bundle import Images, open_bundle
from edgetl.gate.check import Checked, CheckOptions, check_bundle
from edgetl.gate.compare import Allowed
from edgetl.hashing import digest_folder
from edgetl.models import FAMILIES, ModelSpec, TokensFamily, deployable, load_model, save_model
from edgetl.quantizers import QUANTIZERS, for_format
from edgetl.runtime import golden, installed
from edgetl.runtime.bundle import runtime_files
from edgetl.runtime.contract import Contract, OutputSpec
from edgetl.runtime.engines import open_session
from edgetl.runtime.inputs import TokensInput
from edgetl.runtime.model_files import describe_files
from edgetl.runtime.preprocess import Preprocess
from edgetl.stages import Workspace
from edgetl.stages._deployed import outputs_of
from edgetl.stages.verify import STAGE, Settings
from edgetl.store.store import Artifact
from edgetl.tasks import TASKS
from edgetl.train.training_artifacts import write_predictions
from edgetl.types import Facts, Precision, Split

_PACKAGE = Path(__file__).parent / "token_package"
_FAMILY = "two_embeddings"
_CLASSES = ("a", "b", "c")
_NUM_TRAIN, _NUM_TEST, _NUM_WRONG = 12, 20, 2
_SIZE = 32
_CASES = [
    (name, precision)
    for name in EXPORTERS.names()
    for precision in (Precision.FP32, Precision.INT8)
]

Shelve = Callable[[Path, str, str, Facts], Artifact]
Inputs = Callable[[str, Precision], dict[str, Artifact]]


class _Quiet:
    def step(self, done: int, total: int, text: str) -> None:
        del done, total, text

    def note(self, text: str) -> None:
        raise AssertionError(text)


@pytest.fixture(scope="module", autouse=True)
def package() -> Iterator[None]:
    """Install the package for the tests of this module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(_PACKAGE)
        installed._by_group.cache_clear()
        yield
    installed._by_group.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "acme_tokens"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def inputs(shelve: Shelve, tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """Return a function that returns what verify reads for a format and precision."""
    root = tmp_path_factory.mktemp("two-inputs")
    dataset = _write_dataset(root / "dataset")
    model = _write_model(root / "model", dataset)
    made: dict[tuple[str, Precision], Artifact] = {}

    def artifact(name: str, precision: Precision) -> Artifact:
        if (name, precision) not in made:
            out = root / f"{name}-{precision}"
            out.mkdir()
            source = None if precision is Precision.FP32 else artifact(name, Precision.FP32).folder
            _write_file(out, name, precision, source=source, model=model, dataset=dataset)
            made[name, precision] = shelve(out, f"export {name}", "float", {})
        return made[name, precision]

    def make(name: str, precision: Precision) -> dict[str, Artifact]:
        exporter, quantizer = EXPORTERS.load(name), QUANTIZERS.load(for_format(name) or "")
        if any(find_spec(each) is None for each in (*exporter.requires, *quantizer.requires)):
            pytest.skip(f"what makes {name} is not installed")
        quantized = {} if precision is Precision.FP32 else {"candidate": artifact(name, precision)}
        return {
            "dataset": shelve(dataset, "view", "view", {}),
            "model": shelve(model, "finetune", "teacher", {}),
            "float": artifact(name, Precision.FP32),
            **quantized,
        }

    return make


def _write_dataset(folder: Path) -> Path:
    """Write random images whose labels are what the model of seed 0 predicts, but for a few."""
    from acme_tokens.tokens import tokens_of  # type: ignore[import-not-found] # on the path by then

    folder.mkdir()
    images = np.random.default_rng(0).integers(
        0, 256, (_NUM_TEST + _NUM_TRAIN, _SIZE, _SIZE, 3), np.uint8
    )
    network = FAMILIES.load(_FAMILY).build(width=1.0, num_classes=len(_CLASSES), seed=0)
    labels = outputs_of(network, tokens_of(images), ("logits",))["logits"].argmax(axis=1)
    labels[:_NUM_WRONG] = (labels[:_NUM_WRONG] + 1) % len(_CLASSES)
    with (folder / IMAGES_FILE).open("wb") as file:
        # The training images lie in front of those to test on.
        write_images(file, np.roll(images, -_NUM_TEST, axis=0), images.shape)
    items = [Item(f"{i}.png", int(label), f"{i:064x}") for i, label in enumerate(labels)]
    write_index(
        folder,
        task="pairing",
        classes=_CLASSES,
        items={Split.TRAIN: items[_NUM_TEST:], Split.VAL: [], Split.TEST: items[:_NUM_TEST]},
        preprocess=Preprocess(_SIZE, _SIZE, "stretch", "bilinear", 0),
    )
    return folder


def _write_model(folder: Path, dataset: Path) -> Path:
    """Write the model of seed 0 with its predictions, as a training leaves it."""
    folder.mkdir()
    module = FAMILIES.load(_FAMILY).build(width=1.0, num_classes=len(_CLASSES), seed=0).eval()
    spec = ModelSpec.of(
        _FAMILY, width=1.0, classes=_CLASSES, image_input=InputTable(size=_SIZE, fit="stretch")
    )
    save_model(folder, spec, module)
    evaluation = TASKS.load("pairing").evaluation
    scores = write_predictions(
        folder, spec, module, dataset=Dataset.open(dataset), evaluation=evaluation
    )
    assert scores[Split.TEST].value == pytest.approx(1 - _NUM_WRONG / _NUM_TEST)
    return folder


def _write_file(
    out: Path,
    name: str,
    precision: Precision,
    *,
    source: Path | None,
    model: Path,
    dataset: Path,
) -> None:
    """Export the model, or quantize the file in `source`, as the stages do with images."""
    evaluation = TASKS.load("pairing").evaluation
    samples = evaluation.inputs(Dataset.open(dataset), Split.TRAIN, slice(None))
    spec, module = load_model(model)
    network, exporter = deployable(spec, module), EXPORTERS.load(name)
    family = FAMILIES.load(_FAMILY)
    assert isinstance(family, TokensFamily)
    if source is None:
        examples = {
            each: torch.zeros(1, family.token_length, dtype=torch.int32) for each in samples
        }
        exporter.export(network, examples, evaluation.outputs, out)
    else:
        quantizer = QUANTIZERS.load(for_format(name) or "")
        quantizer.quantize(source / exporter.file, samples, precision, Int8Table(), out)
    session = open_session(name, out / exporter.file, 1)
    Contract(
        task=spec.task,
        labels=_CLASSES,
        format=name,
        files=describe_files(out, exporter.files),
        precision=precision.value,
        inputs=tuple(
            TokensInput(each, each, family.token_length, values.dtype.name)
            for each, values in samples.items()
        ),
        outputs=(OutputSpec("logits", session.outputs[0].name, (1, len(_CLASSES)), "logits"),),
    ).save(out)
    golden.record(out, samples, outputs_of(network, samples, evaluation.outputs), [])


def _verify(inputs: dict[str, Artifact], name: str, precision: Precision, out: Path) -> Any:
    out.mkdir()
    settings = Settings(
        model="teacher", format=name, precision=precision, runtime="0" * 64, task="pairing"
    )
    return STAGE.run(settings, inputs, Workspace(out, out, out, _Quiet()))


@pytest.mark.parametrize(("name", "precision"), _CASES)
def test_model_is_verified_and_checked_by_its_own_inputs(
    name: str, precision: Precision, inputs: Inputs, examples: Any, tmp_path: Path
) -> None:
    given = inputs(name, precision)

    facts = _verify(given, name, precision, tmp_path / "verified")

    steps = ["torch as trained to torch as deployed", f"torch as deployed to {name} fp32"]
    if precision is not Precision.FP32:
        steps.append(f"{name} fp32 to {name} {precision}")
    assert [step.step for step in facts.ladder] == steps
    assert [step.images for step in facts.ladder] == [8] * len(steps)  # the task's chunk
    assert facts.breaks_at is None
    assert facts.ladder[0].snr_db == 200.0  # nothing is folded or normalised
    assert facts.images == _NUM_TEST
    if precision is Precision.FP32:
        assert facts.value == pytest.approx(1 - _NUM_WRONG / _NUM_TEST)
        assert facts.drop.pp == 0.0
    else:
        assert facts.value >= 0.8

    checked = _check(given, facts, examples, tmp_path)

    cases = {case.name: case for case in checked.cases}
    assert {case.status for case in checked.cases} == {"passed", "skipped"}
    passed = {name for name, case in cases.items() if case.status == "passed"}
    assert passed == {"files", "labels", "golden samples", "accuracy", "accuracy drop"}
    assert cases["accuracy"].provenance == "measured"
    assert cases["accuracy"].figures == {
        "top1": pytest.approx(facts.value),
        "images": _NUM_TEST,
    }
    assert cases["fitted pixels"].reason == "the model takes no image"


def _check(
    inputs: dict[str, Artifact], facts: VerificationFacts, examples: Any, folder: Path
) -> Checked:
    """Return what `edgetl check RECIPE` returns for the bundle of a verified file."""
    bundle = folder / "bundle"
    candidate = inputs.get("candidate", inputs["float"])
    shutil.copytree(candidate.folder, bundle)
    for path, source in runtime_files([facts.format], ["pairing"]).items():
        (bundle / path).parent.mkdir(parents=True, exist_ok=True)
        (bundle / path).write_bytes(source.read_bytes())
    manifest = examples.bundle(
        "board",
        candidate=examples.candidate(facts.file.name),
        accuracy=facts,
        model_files=EXPORTERS.load(facts.format).files,
        files=digest_folder(bundle),
    )
    (bundle / "manifest.json").write_text(manifest.model_dump_json(by_alias=True))
    target = Target.model_validate(
        {
            "name": "board",
            "description": "this machine",
            "device": "local",
            "threads": 1,
            "candidates": {facts.format: [facts.precision]},
            "limits": {"top1": 0.8, "drop_pp": 10.0},
        }
    )
    with np.load(folder / "verified" / "predictions.npz") as arrays:
        predictions = dict(arrays)
    options = CheckOptions(
        target=target,
        allowed=Allowed(0.5, 1.1),
        images=Images(Dataset.open(inputs["dataset"].folder), "of the split", predictions),
        predict=True,
    )
    return check_bundle(open_bundle(bundle, "board"), open_device("local"), options)


def test_file_with_swapped_inputs_breaks_the_ladder(
    inputs: Inputs, shelve: Shelve, tmp_path: Path
) -> None:
    name = EXPORTERS.names()[0]
    given = inputs(name, Precision.FP32)
    swapped = tmp_path / "swapped"
    shutil.copytree(given["float"].folder, swapped)
    contract = Contract.load(swapped)
    first, second = contract.inputs
    dataclasses.replace(
        contract,
        inputs=(
            dataclasses.replace(first, tensor=second.tensor),
            dataclasses.replace(second, tensor=first.tensor),
        ),
    ).save(swapped)

    wrong = {**given, "float": shelve(swapped, f"export {name}", "float", {})}
    facts = _verify(wrong, name, Precision.FP32, tmp_path / "verified")

    assert facts.breaks_at == f"torch as deployed to {name} fp32"
    assert json.loads((tmp_path / "verified" / "verification.json").read_text())["drop"]["pp"] > 0
