"""The contract of a model file: what it takes, what it answers, how an image becomes its input.

Stored as ``contract.json`` beside the model, with ``labels.txt`` for other programs.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgetl.runtime.engines import CPU
from edgetl.runtime.errors import ContractError
from edgetl.runtime.preprocess import Preprocess

if TYPE_CHECKING:
    from edgetl.runtime.detections import NmsSettings

CONTRACT_FILE = "contract.json"
LABELS_FILE = "labels.txt"
SCHEMA = 2
_OLD_SCHEMA = 1
"""Calls the settings of non-maximum suppression otherwise; still read."""
CLASSIFICATION = "classification"
DETECTION = "detection"
TASKS = (CLASSIFICATION, DETECTION)

_REMEDY = "copy the whole folder again from where it was made"
_Kinds = tuple[type[object], ...]
_TEXT: _Kinds = (str,)
_COUNT: _Kinds = (int,)
_NUMBER: _Kinds = (int, float)
_LIST: _Kinds = (list,)
_TABLE: _Kinds = (dict,)


@dataclass(frozen=True)
class InputSpec:
    """The model's only input: raw RGB pixels 0..255, shape ``(1, height, width, 3)``."""

    name: str
    """The input's name in the file; some formats give it another."""
    height: int
    width: int


@dataclass(frozen=True)
class OutputSpec:
    """One output of the model."""

    name: str
    """What edgetl calls it.

    A classifier has ``logits``, shape ``(1, K)``. A detector has ``boxes``, shape ``(1, M, 4)``,
    xyxy in 0..1 of the input, and ``scores``, shape ``(1, M, K)``, in 0..1.
    """
    tensor: str
    """What the file calls it."""
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Contract:
    """Everything that a program must know to use a model file."""

    task: str
    labels: tuple[str, ...]
    """Class names in the order of the logits or scores."""
    format: str
    """``onnx``, ``openvino`` or ``tflite``; also names the engine."""
    file: str
    """The model file, in the contract's folder."""
    precision: str
    input: InputSpec
    preprocess: Preprocess
    outputs: tuple[OutputSpec, ...]
    nms: NmsSettings | None = None
    """Which answers of a detector become detections; None for a classifier."""
    provider: str = CPU
    """What runs the model file; one of `edgetl.runtime.engines.providers`."""

    @classmethod
    def load(cls, folder: Path) -> Contract:
        """Return the contract in `folder`.

        Raises:
            ContractError: If there is none, or it is not of this schema: unknown key, missing key,
                wrong type, or figures that contradict each other.
        """
        path = folder / CONTRACT_FILE
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            what = "has no contract.json" if folder.is_dir() else "is not a folder"
            raise ContractError(
                f"{folder} {what}; a model folder holds a model file and its contract.json",
                remedy="name the folder that edgetl handed over",
            ) from error
        except (OSError, ValueError) as error:
            raise ContractError(f"{path} cannot be read: {error}", remedy=_REMEDY) from error
        return _contract(_Reader(path, "", data))

    def save(self, folder: Path) -> None:
        """Write ``contract.json`` and ``labels.txt`` into `folder`."""
        data = {"schema": SCHEMA, **dataclasses.asdict(self)}
        if self.nms is None:
            del data["nms"]
        if self.provider == CPU:
            del data["provider"]
        text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
        (folder / CONTRACT_FILE).write_text(text, encoding="utf-8")
        labels = "".join(f"{label}\n" for label in self.labels)
        (folder / LABELS_FILE).write_text(labels, encoding="utf-8")


class _Reader:
    """Takes the keys of one JSON table out, each checked, and then nothing may be left."""

    def __init__(self, path: Path, where: str, data: object) -> None:
        self.path = path
        self.where = where
        if not isinstance(data, dict):
            raise self.error(where or "the file", f"must be a table, not {data!r}")
        self._left: dict[str, Any] = dict(data)

    def error(self, key: str, what: str) -> ContractError:
        return ContractError(f"{self.path}: {key}: {what}", remedy=_REMEDY)

    def name(self, key: str) -> str:
        return f"{self.where}.{key}" if self.where else key

    def take(self, key: str, kinds: _Kinds) -> Any:  # noqa: ANN401 - a JSON value
        if key not in self._left:
            raise self.error(self.name(key), "is missing")
        value = self._left.pop(key)
        # bool is a subclass of int, but true is no height.
        if not isinstance(value, kinds) or isinstance(value, bool):
            expected = " or ".join(kind.__name__ for kind in kinds)
            raise self.error(self.name(key), f"must be {expected}, not {value!r}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(self._each(key, str))

    def counts(self, key: str) -> tuple[int, ...]:
        return tuple(self._each(key, int))

    def table(self, key: str) -> _Reader:
        return _Reader(self.path, self.name(key), self.take(key, _TABLE))

    def has(self, key: str) -> bool:
        return key in self._left

    def tables(self, key: str) -> list[_Reader]:
        rows = self._each(key, dict)
        return [_Reader(self.path, f"{self.name(key)}.{i}", row) for i, row in enumerate(rows)]

    def done(self) -> None:
        if self._left:
            unknown = min(self._left)
            raise self.error(self.name(unknown), "is not a key that this runtime knows")

    def _each(self, key: str, kind: type[Any]) -> list[Any]:
        values: list[Any] = self.take(key, _LIST)
        for value in values:
            if not isinstance(value, kind) or isinstance(value, bool):
                raise self.error(self.name(key), f"must hold {kind.__name__} only, not {value!r}")
        return values


def _contract(reader: _Reader) -> Contract:
    schema = reader.take("schema", _COUNT)
    if schema not in (_OLD_SCHEMA, SCHEMA):
        what = f"is {schema}; this runtime reads {_OLD_SCHEMA} and {SCHEMA}"
        raise reader.error("schema", what)
    nms_key = "suppression" if schema == _OLD_SCHEMA else "nms"
    contract = Contract(
        task=reader.take("task", _TEXT),
        labels=reader.texts("labels"),
        format=reader.take("format", _TEXT),
        file=reader.take("file", _TEXT),
        precision=reader.take("precision", _TEXT),
        input=_input(reader.table("input")),
        preprocess=_preprocess(reader.table("preprocess")),
        outputs=tuple(_output(row) for row in reader.tables("outputs")),
        nms=_nms(reader.table(nms_key), schema) if reader.has(nms_key) else None,
        provider=reader.take("provider", _TEXT) if reader.has("provider") else CPU,
    )
    reader.done()
    _check(contract, reader)
    return contract


def _input(reader: _Reader) -> InputSpec:
    spec = InputSpec(
        name=reader.take("name", _TEXT),
        height=reader.take("height", _COUNT),
        width=reader.take("width", _COUNT),
    )
    reader.done()
    return spec


def _preprocess(reader: _Reader) -> Preprocess:
    values = {
        "height": reader.take("height", _COUNT),
        "width": reader.take("width", _COUNT),
        "fit": reader.take("fit", _TEXT),
        "filter": reader.take("filter", _TEXT),
        "pad": reader.take("pad", _COUNT),
        # Contracts from before there was a choice do not name it.
        "anchor": reader.take("anchor", _TEXT) if reader.has("anchor") else "centre",
    }
    reader.done()
    try:
        return Preprocess(**values)
    except ValueError as error:
        raise reader.error(reader.where, str(error)) from error


def _nms(reader: _Reader, schema: int) -> NmsSettings:
    # Here, because a classifier does not need it.
    from edgetl.runtime.detections import NmsSettings

    is_old = schema == _OLD_SCHEMA
    score = reader.take("score" if is_old else "score_threshold", _NUMBER)
    iou = reader.take("iou", _NUMBER)
    limit = reader.take("limit" if is_old else "max_detections", _COUNT)
    mode = reader.take("mode", _TEXT)
    reader.done()
    try:
        return NmsSettings(float(score), float(iou), limit, mode)
    except ValueError as error:
        raise reader.error(reader.where, str(error)) from error


def _output(reader: _Reader) -> OutputSpec:
    spec = OutputSpec(
        name=reader.take("name", _TEXT),
        tensor=reader.take("tensor", _TEXT),
        shape=reader.counts("shape"),
    )
    reader.done()
    return spec


def _check(contract: Contract, reader: _Reader) -> None:
    size = (contract.input.height, contract.input.width)
    fitted = (contract.preprocess.height, contract.preprocess.width)
    if size != fitted:
        raise reader.error("preprocess", f"makes {fitted}, but the input is {size}")
    if Path(contract.file).name != contract.file:
        raise reader.error("file", f"is {contract.file!r}; must be a name without a folder")
    if contract.task not in TASKS:
        known = ", ".join(TASKS)
        raise reader.error("task", f"is {contract.task!r}; this runtime knows {known}")
    _check_nms(contract, reader)
    found = {output.name: output.shape for output in contract.outputs}
    expected = _expected_outputs(contract)
    if found != expected:
        raise reader.error("outputs", f"are {found}; {contract.task} has {expected}")


def _check_nms(contract: Contract, reader: _Reader) -> None:
    if contract.task == DETECTION and contract.nms is None:
        raise reader.error("nms", f"is missing; {DETECTION} needs it")
    if contract.task != DETECTION and contract.nms is not None:
        raise reader.error("nms", f"is of no use to {contract.task}; only to {DETECTION}")


def _expected_outputs(contract: Contract) -> dict[str, tuple[int, ...]]:
    num_classes = len(contract.labels)
    if contract.task == CLASSIFICATION:
        return {"logits": (1, num_classes)}
    # The number of locations is the file's own, but boxes and scores have the same.
    shapes = [output.shape for output in contract.outputs if output.name == "boxes"]
    num_locations = max(1, shapes[0][1]) if shapes and len(shapes[0]) > 1 else 1
    return {"boxes": (1, num_locations, 4), "scores": (1, num_locations, num_classes)}
