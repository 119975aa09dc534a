"""Name what in a model file will share an int8 scale though its values differ in size.

An int8 tensor has 256 steps for all of its values. Where boxes in pixels and scores in 0..1 become
one tensor, a step is larger than every score, and the scores die. The lint runs a model on a few
pictures, looks at what its joining operations read and at what it answers, and tells where one part
reaches more than `LIMIT` times as far as another. Any ONNX or TFLite file will do.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from edgetl.errors import ConfigError, MissingPackageError, Problem

if TYPE_CHECKING:  # the command line must not wait for numpy
    from collections.abc import Sequence

    from edgetl.graph_lint.findings import Lint

LIMIT = 16.0
"""Times that one part may reach farther than another: it leaves the smaller one 4 of 8 bits."""
PIXELS = {"0..255": (0.0, 255.0), "0..1": (0.0, 1.0), "-1..1": (-1.0, 1.0)}
"""Values that a float input may expect of black and white."""
_READERS = {
    ".onnx": ("_onnx", "onnx", ("onnx", "onnxruntime")),
    ".tflite": ("_tflite", "tflite", ("ai_edge_litert",)),
}


def lint(model: Path, images: Sequence[Path] = (), *, pixels: str = "0..255") -> Lint:
    """Return what shares a scale in `model` though it should not, and what was not looked at.

    Args:
        model: An ONNX or TFLite file that takes a picture.
        images: Files to run it on; drawn pictures if there are none.
        pixels: One of `PIXELS`, what a float input expects. Integer inputs get all that they hold.

    Raises:
        ConfigError: If `model` is not such a file.
        MissingPackageError: If what runs its format is not installed.
        ImageError: If an image cannot be read.
    """
    if model.suffix not in _READERS:
        raise not_a_model(model, f"is no model file; it must end with {' or '.join(_READERS)}")
    if not model.is_file():
        raise not_a_model(model, "no such file")
    module, extra, packages = _READERS[model.suffix]
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise MissingPackageError(
                f"{model.suffix} files need the package '{package}', which is not installed",
                remedy=f"pip install 'edgetl[{extra}]'",
            )
    from edgetl.graph_lint.findings import judge
    from edgetl.graph_lint.sample_images import pictures

    network = importlib.import_module(f"edgetl.graph_lint.{module}").open_network(model)
    return judge(network, pictures(network.feed.image, images, PIXELS[pixels]))


def not_a_model(model: Path, what: str) -> ConfigError:
    """Return what is raised for a file that cannot be looked at."""
    remedy = "give an ONNX or TFLite file that takes a picture"
    return ConfigError(str(model), [Problem("", what)], remedy=remedy)
