"""The contract of a model: its files, inputs and outputs, and how outputs become predictions.

Stored as ``contract.json`` beside the model, with ``labels.txt`` for other programs. Schema 2 may
get more optional keys, which a runtime that does not know them ignores; features that it must know
are named in ``requires``.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgetl.runtime import tasks
from edgetl.runtime.engines import CPU
from edgetl.runtime.errors import (
    CHECK_ACCESS,
    COPY_AGAIN,
    ContractError,
    EdgetlUsageError,
    TaskError,
)
from edgetl.runtime.inputs import ImageInput, InputSpec, input_json, read_input
from edgetl.runtime.json_table import COUNT, NUMBER, TEXT, JsonTable
from edgetl.runtime.model_files import ModelFile

if TYPE_CHECKING:
    from edgetl.runtime.detections import NmsSettings

CONTRACT_FILE = "contract.json"
LABELS_FILE = "labels.txt"
SCHEMA = 2
_OLD_SCHEMA = 1
CLASS_THRESHOLDS = "class_thresholds"
"""Required where predictions below the threshold of their class do not count: a runtime that
ignored it would report more."""
_KNOWN_REQUIREMENTS = frozenset({CLASS_THRESHOLDS})
"""Names in ``requires`` that this runtime can fulfil."""


@dataclass(frozen=True)
class OutputSpec:
    """One output of the model."""

    name: str
    """Name in edgetl."""
    tensor: str
    """Name in the model file."""
    shape: tuple[int, ...]
    kind: str
    """Its meaning: ``logits`` or ``probabilities``, shape ``(1, K)``; ``boxes``, ``(1, M, 4)``,
    xyxy in 0..1 of the input; ``scores``, ``(1, M, K)``, in 0..1."""


@dataclass(frozen=True)
class Contract:
    """Everything that a program must know to use a model."""

    task: str
    """Names the file in `edgetl.runtime.tasks`, or the one of an installed package."""
    labels: tuple[str, ...]
    """Class names in the order of the logits or scores."""
    format: str
    """``onnx``, ``openvino`` or ``tflite``; also names the engine."""
    files: tuple[ModelFile, ...]
    """In the contract's folder; the first is the one that an engine opens."""
    precision: str
    inputs: tuple[InputSpec, ...]
    outputs: tuple[OutputSpec, ...]
    nms: NmsSettings | None = None
    """Non-maximum suppression of a detector; None if the task has none."""
    class_thresholds: tuple[float, ...] | None = None
    """Lowest score, in 0..1, of a prediction of each class, in the order of `labels`: probability,
    or score of a detection in addition to that of `nms`. None if the recipe stated none."""
    provider: str = CPU
    """Execution provider; one of `edgetl.runtime.engines.providers`."""

    @property
    def file(self) -> str:
        """Name of the file that an engine opens."""
        return self.files[0].name

    @property
    def images(self) -> tuple[ImageInput, ...]:
        """The inputs that are images."""
        return tuple(each for each in self.inputs if isinstance(each, ImageInput))

    @property
    def image(self) -> ImageInput:
        """The only input, an image.

        Raises:
            EdgetlUsageError: If the model has other or more inputs.
        """
        if len(self.inputs) != 1 or not self.images:
            given = ", ".join(f"{each.kind} '{each.name}'" for each in self.inputs)
            raise EdgetlUsageError(
                f"the model does not take one image; its inputs are {given}",
                remedy="call edgetl.runtime.predictor.Predictor.predict_inputs in Python",
            )
        return self.images[0]

    @classmethod
    def load(cls, folder: Path) -> Contract:
        """Return the contract in `folder`.

        Raises:
            ContractError: If there is none, it cannot be read, requires what this runtime does not
                know, or a key is missing, of a wrong type, or contradicts another.
        """
        path = folder / CONTRACT_FILE
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            what = "has no contract.json" if folder.is_dir() else "is not a folder"
            raise ContractError(
                f"{folder} {what}; a model folder holds a model file and its contract.json",
                remedy="name a bundle or model folder that edgetl wrote",
            ) from error
        except OSError as error:
            raise ContractError(
                f"{path} cannot be read: {error.strerror}", remedy=CHECK_ACCESS
            ) from error
        except ValueError as error:
            raise ContractError(f"{path} cannot be read: {error}", remedy=COPY_AGAIN) from error
        return _contract(path, data)

    def save(self, folder: Path) -> None:
        """Write ``contract.json`` and ``labels.txt`` into `folder`."""
        data: dict[str, Any] = {
            "schema": SCHEMA,
            "task": self.task,
            "labels": self.labels,
            "format": self.format,
            "precision": self.precision,
            "files": [dataclasses.asdict(file) for file in self.files],
            "inputs": [input_json(spec) for spec in self.inputs],
            "outputs": [dataclasses.asdict(output) for output in self.outputs],
        }
        operating_point: dict[str, Any] = {}
        if self.nms is not None:
            operating_point["nms"] = dataclasses.asdict(self.nms)
        if self.class_thresholds is not None:
            thresholds = dict(zip(self.labels, self.class_thresholds))
            operating_point[CLASS_THRESHOLDS] = thresholds
            data["requires"] = [CLASS_THRESHOLDS]
        if operating_point:
            data["operating_point"] = operating_point
        if self.provider != CPU:
            data["provider"] = self.provider
        text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
        (folder / CONTRACT_FILE).write_text(text, encoding="utf-8")
        labels = "".join(f"{label}\n" for label in self.labels)
        (folder / LABELS_FILE).write_text(labels, encoding="utf-8")


def _contract(path: Path, data: object) -> Contract:
    table = JsonTable(path, "", data)
    schema = table.take("schema", COUNT)
    if schema == _OLD_SCHEMA:
        from edgetl.runtime.contract_schema1 import upgraded

        table = JsonTable(path, "", upgraded(table))
    elif schema != SCHEMA:
        raise table.error("schema", f"is {schema}; this runtime reads {_OLD_SCHEMA} and {SCHEMA}")
    _check_requirements(path, table)
    labels = table.texts("labels")
    operating_point = table.table("operating_point") if table.has("operating_point") else None
    contract = Contract(
        task=table.take("task", TEXT),
        labels=labels,
        format=table.take("format", TEXT),
        files=tuple(_file(row, sized=schema == SCHEMA) for row in table.tables("files")),
        precision=table.take("precision", TEXT),
        inputs=tuple(read_input(row) for row in table.tables("inputs")),
        outputs=tuple(_output(row) for row in table.tables("outputs")),
        nms=_nms(operating_point) if operating_point else None,
        class_thresholds=_thresholds(operating_point, labels) if operating_point else None,
        provider=table.take_or("provider", TEXT, CPU),
    )
    _check(contract, table)
    return contract


def _check_requirements(path: Path, table: JsonTable) -> None:
    required = table.texts("requires") if table.has("requires") else ()
    unknown = [name for name in required if name not in _KNOWN_REQUIREMENTS]
    if unknown:
        raise ContractError(
            f"{path}: the model requires '{unknown[0]}', which this runtime does not know",
            remedy="use a newer edgetl.runtime",
        )


def _file(table: JsonTable, *, sized: bool) -> ModelFile:
    name = table.take("name", TEXT)
    if Path(name).name != name:
        raise table.error("name", f"is {name!r}; must be a name without a folder")
    if not sized:
        return ModelFile(name, None, None)
    return ModelFile(name, table.take("size_bytes", COUNT), table.take("sha256", TEXT))


def _output(table: JsonTable) -> OutputSpec:
    return OutputSpec(
        name=table.take("name", TEXT),
        tensor=table.take("tensor", TEXT),
        shape=table.counts("shape"),
        kind=table.take("kind", TEXT),
    )


def _nms(operating_point: JsonTable) -> NmsSettings | None:
    if not operating_point.has("nms"):
        return None
    # Here, because a classifier does not need it.
    from edgetl.runtime.detections import NmsSettings

    table = operating_point.table("nms")
    score_threshold, iou = table.take("score_threshold", NUMBER), table.take("iou", NUMBER)
    max_detections, mode = table.take("max_detections", COUNT), table.take("mode", TEXT)
    try:
        return NmsSettings(float(score_threshold), float(iou), max_detections, mode)
    except ValueError as error:
        raise table.error("", str(error)) from error


def _thresholds(operating_point: JsonTable, labels: tuple[str, ...]) -> tuple[float, ...] | None:
    if not operating_point.has(CLASS_THRESHOLDS):
        return None
    table = operating_point.table(CLASS_THRESHOLDS)
    thresholds = tuple(float(table.take(label, NUMBER)) for label in labels)
    for label, threshold in zip(labels, thresholds):
        if not 0 <= threshold <= 1:
            raise table.error(label, f"is {threshold}; must be in 0...1")
    return thresholds


def _check(contract: Contract, table: JsonTable) -> None:
    for key, items in (("files", contract.files), ("inputs", contract.inputs)):
        if not items:
            raise table.error(key, "is empty")
        names = [item.name for item in items]
        if len(set(names)) < len(names):
            raise table.error(key, f"names one twice: {', '.join(names)}")
    for key, what in _task(contract, table).problems(contract):
        raise table.error(key, what)


def _task(contract: Contract, table: JsonTable) -> tasks.Task:
    try:
        return tasks.load(contract.task)
    except TaskError as error:
        if contract.task in tasks.names():
            raise
        # Here, because only a contract with such an error needs it.
        import difflib

        close = difflib.get_close_matches(contract.task, tasks.names(), n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        known = f"this runtime knows {', '.join(tasks.names())}"
        raise table.error("task", f"is {contract.task!r}; {hint}{known}") from error
