"""Load ONNX files, their external data included, and name what is wrong with those that fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
from google.protobuf import message  # type: ignore[import-untyped] # has no stubs
from onnx.external_data_helper import (
    ExternalDataInfo,
    load_external_data_for_model,
    uses_external_data,
)

from edgetl.errors import ConfigError
from edgetl.graph_lint import refused
from edgetl.graph_lint.model_content import what_instead
from edgetl.placeholder import placeholder


def load_onnx(model: Path, otherwise: Callable[[str], ConfigError]) -> onnx.ModelProto:
    """Return the content of `model`.

    Args:
        model: An existing file.
        otherwise: Returns the error for a reason that no remedy is known for.

    Raises:
        ConfigError: If it is no ONNX file, or its external data are not there.
    """
    try:
        loaded = onnx.load(model, load_external_data=False)
    except message.DecodeError as error:
        instead = what_instead(model, "ONNX")
        if instead is not None:
            raise refused(model, instead.what, instead.remedy) from error
        raise otherwise(f"cannot be read as ONNX: {error}") from error
    if not loaded.graph.node:
        raise otherwise("cannot be read as ONNX: it has no operation")
    for tensor in _external(loaded.graph):
        _check_external(model, tensor)
    try:
        load_external_data_for_model(loaded, str(model.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise otherwise(f"cannot be read as ONNX: {error}") from error
    return loaded


def _external(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    for tensor in graph.initializer:
        if uses_external_data(tensor):
            yield tensor


def _check_external(model: Path, tensor: onnx.TensorProto) -> None:
    info = ExternalDataInfo(tensor)
    path = model.parent / info.location
    if not path.is_file():
        raise refused(
            model,
            f"keeps its weights in '{info.location}', which is not there",
            f"put the file that was exported along with it at {path}, under this very name, or "
            "save the model in one file: onnx.save(onnx.load(FILE), NEW_FILE)",
        )
    instead = placeholder(path)
    if instead is not None:
        raise refused(model, f"its weights: '{info.location}' {instead.what}", instead.remedy)
    available = path.stat().st_size - (info.offset or 0)
    if info.length and available < info.length:
        raise refused(
            model,
            f"its weights: '{info.location}' is cut short: tensor '{tensor.name}' needs "
            f"{info.length:,} bytes from byte {info.offset or 0:,} on, there are "
            f"{max(available, 0):,}",
            "copy or download both files again, and compare sizes",
        )
