"""Report tensors of a model file that share an int8 scale although their parts differ in range.

An int8 tensor has 256 steps for all of its values. Where boxes in pixels and scores in 0..1 become
one tensor, a step is larger than every score, and all scores become zero. The lint runs a model on
a few images, compares the inputs of its joining operations and its outputs, and reports where the
range of one part is more than `LIMIT` times that of another. In a quantized file it also reports
where the scale of an output cuts off a part of it. Any ONNX or TFLite file will do.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from edgetl.errors import ConfigError, MissingPackageError, Problem
from edgetl.placeholder import placeholder

if TYPE_CHECKING:  # the command line must not wait for numpy
    from collections.abc import Sequence

    from edgetl.graph_lint.findings import Lint, Network

LIMIT = 16.0
"""Largest allowed ratio of the ranges of two parts: it leaves the smaller one 4 of 8 bits."""
PIXELS = {"0..255": (0.0, 255.0), "0..1": (0.0, 1.0), "-1..1": (-1.0, 1.0)}
"""Values of black and white that a float input may expect."""
_READERS = {
    ".onnx": ("_onnx", "onnx", ("onnx", "onnxruntime")),
    ".tflite": ("_tflite", "tflite", ("ai_edge_litert",)),
}


def lint(model: Path, images: Sequence[Path] = (), *, pixels: str = "0..255") -> Lint:
    """Return the tensors of `model` that should not share a scale, and what was not examined.

    Args:
        model: An ONNX or TFLite file that takes an image.
        images: Files to run it on; synthetic images if there are none.
        pixels: One of `PIXELS`, the range that a float input expects. Integer inputs get their
            whole range.

    Raises:
        ConfigError: If `model` is not such a file.
        MissingPackageError: If the package that runs its format is not installed.
        ImageError: If an image cannot be read.
    """
    if model.suffix.lower() not in _READERS:
        raise not_a_model(model, f"is not a model file; it must end with {' or '.join(_READERS)}")
    if not model.is_file():
        raise not_a_model(model, "no such file")
    instead = placeholder(model)
    if instead is not None:
        raise refused(model, instead.what, instead.remedy)
    reader = _reader(model)
    from edgetl.graph_lint.findings import judge
    from edgetl.graph_lint.sample_images import sample_inputs

    network: Network = reader.open_network(model)
    return judge(network, sample_inputs(network.feed.image, images, PIXELS[pixels]))


def require_runnable(model: Path) -> None:
    """Raise an error unless the engine of the format of `model` can run it on this machine's CPU.

    Reading an OpenVINO file shows that already, so such files are not opened again.

    Raises:
        ConfigError: If the engine refuses it; the remedy is that of the cause.
        MissingPackageError: If the package that runs its format is not installed.
    """
    if model.suffix.lower() in _READERS:
        _reader(model).require_runnable(model)


def _reader(model: Path) -> ModuleType:
    """Return the module that reads the format of `model`, whose suffix is one of `_READERS`."""
    suffix = model.suffix.lower()
    module, extra, packages = _READERS[suffix]
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise MissingPackageError(
                f"{suffix} files need the package '{package}', which is not installed",
                remedy=f"pip install 'edgetl[{extra}]'",
            )
    return importlib.import_module(f"edgetl.graph_lint.{module}")


def not_a_model(model: Path, what: str) -> ConfigError:
    """Return the error for a file that cannot be examined."""
    return refused(model, what, "give an ONNX or TFLite file that takes an image")


def refused(model: Path, what: str, remedy: str) -> ConfigError:
    """Return the error for a file of which `what` is wrong and `remedy` helps."""
    return ConfigError(str(model), [Problem("", what)], remedy=remedy)
