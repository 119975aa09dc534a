"""A model with two int32 inputs goes through every exporter, quantizer and engine, and the gate."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgetl.boards.remote_runtime import replay_golden
from edgetl.config.calibration import Int8Table, RangeTable
from edgetl.devices import open_device
from edgetl.exporters import EXPORTERS
from edgetl.quantizers import CALIBRATED, QUANTIZERS, for_format
from edgetl.runtime import golden
from edgetl.runtime.bundle import runtime_files
from edgetl.runtime.contract import Contract, OutputSpec
from edgetl.runtime.engines import open_session
from edgetl.runtime.errors import BundleError
from edgetl.runtime.inputs import TokensInput
from edgetl.runtime.measurement import measure
from edgetl.runtime.model_files import describe_files
from edgetl.runtime.predictor import Predictor
from edgetl.runtime.tasks.classification import ClassPrediction
from edgetl.runtime.timing_plan import TimingPlan
from edgetl.stages._deployed import outputs_of
from edgetl.tasks import TASKS
from edgetl.types import Precision

FORMATS = EXPORTERS.names()
FILES = [
    (name, precision)
    for name in FORMATS
    for precision in sorted({Precision.FP32, *QUANTIZERS.load(for_format(name) or "").precisions})
]
LENGTH, VOCABULARY, COUNT = 4, 20, 12

# In neither the alphabetical order nor that of the arguments' names in the module.
NAMES = ("words", "types")

Folder = Callable[[str, Precision], Path]


class TwoEmbeddings(nn.Module):
    """A sum of two embeddings over all positions, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Embedding(VOCABULARY, 8)
        self.second = nn.Embedding(VOCABULARY, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        logits: Tensor = self.head((self.first(first) - 2 * self.second(second)).sum(1))
        return logits


@pytest.fixture(scope="module")
def module() -> nn.Module:
    torch.manual_seed(0)
    return TwoEmbeddings().eval()


@pytest.fixture(scope="module")
def samples() -> dict[str, NDArray[np.int32]]:
    rng = np.random.default_rng(0)
    return {name: rng.integers(0, VOCABULARY, (COUNT, LENGTH), np.int32) for name in NAMES}


@pytest.fixture(scope="module")
def expected(
    module: nn.Module, samples: dict[str, NDArray[np.int32]]
) -> dict[str, NDArray[np.float32]]:
    return outputs_of(module, samples, ("logits",))


@pytest.fixture(scope="module")
def folder(
    module: nn.Module,
    samples: dict[str, NDArray[np.int32]],
    expected: dict[str, NDArray[np.float32]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Folder:
    """Return a function that makes the model folder of a format and precision, once."""
    made: dict[tuple[str, Precision], Path] = {}

    def export(name: str, out: Path) -> None:
        examples = {each: torch.zeros(1, LENGTH, dtype=torch.int32) for each in NAMES}
        EXPORTERS.load(name).export(module, examples, ("logits",), out)

    def make(name: str, precision: Precision) -> Path:
        exporter, quantizer = EXPORTERS.load(name), QUANTIZERS.load(for_format(name) or "")
        if any(find_spec(each) is None for each in (*exporter.requires, *quantizer.requires)):
            pytest.skip(f"what makes {name} is not installed")
        if (name, precision) not in made:
            out = tmp_path_factory.mktemp(f"two-{name}-{precision}")
            if precision is Precision.FP32:
                export(name, out)
            else:
                count = COUNT if precision in CALIBRATED else 0
                some = {each: values[:count] for each, values in samples.items()}
                source = make(name, Precision.FP32) / exporter.file
                quantizer.quantize(source, some, precision, Int8Table(), out)
            _complete(out, name, precision, samples, expected)
            made[name, precision] = out
        return made[name, precision]

    return make


def _complete(
    out: Path,
    name: str,
    precision: Precision,
    samples: dict[str, NDArray[np.int32]],
    expected: dict[str, NDArray[np.float32]],
) -> None:
    exporter = EXPORTERS.load(name)
    session = open_session(name, out / exporter.file, 1)
    dtypes = {info.name: info.dtype for info in session.inputs}
    Contract(
        task="classification",
        labels=("a", "b", "c"),
        format=name,
        files=describe_files(out, exporter.files),
        precision=precision.value,
        inputs=tuple(TokensInput(each, each, LENGTH, dtypes[each]) for each in NAMES),
        outputs=(OutputSpec("logits", session.outputs[0].name, (1, 3), "logits"),),
    ).save(out)
    golden.record(out, samples, expected, [])


@pytest.mark.parametrize(("name", "precision"), FILES)
def test_ladder_from_torch_to_the_file_holds(
    name: str,
    precision: Precision,
    folder: Folder,
    samples: dict[str, NDArray[np.int32]],
    expected: dict[str, NDArray[np.float32]],
) -> None:
    predictor = Predictor.open(folder(name, precision))

    outputs = predictor.run(samples)

    assert {info.dtype for info in predictor.session.inputs} == {"int32"}
    evaluation = TASKS.load("classification").evaluation
    step = evaluation.compare(expected, outputs)
    assert step.snr_db >= evaluation.lowest_snr_db[precision]
    if precision is Precision.FP32:
        np.testing.assert_allclose(outputs["logits"], expected["logits"], atol=1e-5)


@pytest.mark.parametrize(("name", "precision"), FILES)
def test_golden_samples_are_replayed_here_and_on_a_device(
    name: str, precision: Precision, folder: Folder
) -> None:
    made = folder(name, precision)

    rows = golden.replay(made).rows

    assert [(row.name, row.what) for row in rows] == [
        ("logits", "against the recorded outputs"),
        ("logits", "against the float model"),
    ]
    assert rows[0].passed
    assert not list(made.glob("golden-*.png"))
    device = open_device("local")
    with device.connect() as connection:
        connection.put({**runtime_files(), **{path.name: path for path in made.iterdir()}})
        replayed = replay_golden(connection, "local", ".", threads=1, timeout_s=120)
    assert replayed.error == ""
    assert [row.passed for row in replayed.rows] == [True, True]


@pytest.mark.parametrize("name", FORMATS)
def test_swapped_inputs_are_noticed_by_the_replay(
    name: str, folder: Folder, tmp_path: Path
) -> None:
    made = folder(name, Precision.FP32)
    copy = tmp_path / "swapped"
    copy.mkdir()
    for path in made.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    contract = Contract.load(copy)
    first, second = contract.inputs
    swapped = (
        dataclasses.replace(first, tensor=second.tensor),
        dataclasses.replace(second, tensor=first.tensor),
    )
    dataclasses.replace(contract, inputs=swapped).save(copy)

    assert not golden.replay(copy).passed


@pytest.mark.parametrize("name", FORMATS)
def test_other_arrays_are_refused_by_name(
    name: str, folder: Folder, samples: dict[str, NDArray[np.int32]]
) -> None:
    predictor = Predictor.open(folder(name, Precision.FP32))
    words, types = (samples[each][:1] for each in NAMES)

    wrongs: list[dict[str, NDArray[Any]]] = [
        {"words": words},
        {"words": words, "types": types, "more": types},
        {"words": words, "types": types.astype(np.int64)},
        {"words": words, "types": types[:, :2]},
        {"words": words, "types": samples["types"][:2]},
    ]
    for wrong in wrongs:
        with pytest.raises(ValueError, match=r"the model takes words int32 \(N, 4\), types int32"):
            predictor.run(wrong)
    with pytest.raises(ValueError, match=r"input 'types' is int64 \(1, 4\); it takes int32"):
        predictor.session.run({"words": words, "types": types.astype(np.int64)})
    with pytest.raises(ValueError, match="input 'types' is missing; it takes int32"):
        predictor.session.run({"words": words})
    with pytest.raises(ValueError, match="the model takes"):
        predictor.session.run({"words": words, "types": types, "more": types})


@pytest.mark.parametrize("name", FORMATS)
def test_prediction_and_times_need_no_image(
    name: str,
    folder: Folder,
    samples: dict[str, NDArray[np.int32]],
    expected: dict[str, NDArray[np.float32]],
) -> None:
    made = folder(name, Precision.FP32)

    prediction = Predictor.open(made).predict_inputs(
        {each: values[2:3] for each, values in samples.items()}
    )
    latency = measure(made, threads=1, plan=TimingPlan(0.0, 5, 1))

    assert isinstance(prediction, ClassPrediction)
    assert prediction.index == int(expected["logits"][2].argmax())
    assert len(latency.runs[0].end_to_end_ns) == 5


@pytest.mark.parametrize("name", QUANTIZERS.names())
def test_ranges_are_searched_for_as_with_images(
    name: str, folder: Folder, samples: dict[str, NDArray[np.int32]], tmp_path: Path
) -> None:
    quantizer = QUANTIZERS.load(name)
    if Precision.INT8 not in quantizer.precisions:
        pytest.skip(f"{name} makes no int8")
    source = folder(quantizer.reads, Precision.FP32) / EXPORTERS.load(quantizer.reads).file
    settings = Int8Table(range=RangeTable(estimator="best"))

    facts = quantizer.quantize(source, samples, Precision.INT8, settings, tmp_path)

    assert facts["held_out"] == 3
    # Nine samples do not reach as far as the three held out, which are clipped a little.
    assert min(row["error"] for row in facts["estimators"]) < 0.2


def test_samples_of_other_inputs_are_refused(folder: Folder, tmp_path: Path) -> None:
    made = folder(FORMATS[0], Precision.FP32)
    for path in made.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    data = json.loads((tmp_path / "contract.json").read_text())
    data["inputs"][0]["name"] = "letters"
    (tmp_path / "contract.json").write_text(json.dumps(data))
    with pytest.raises(BundleError, match=r"golden\.npz cannot be read: .*input\.letters"):
        golden.replay(tmp_path)
