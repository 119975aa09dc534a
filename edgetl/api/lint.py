"""``edgetl.lint``: find tensors of a model file that will not survive int8."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgetl import graph_lint
from edgetl.api.arguments import PathLike, as_choice, as_path, as_paths

if TYPE_CHECKING:  # help must not wait for numpy
    from edgetl.graph_lint.findings import Lint


def lint(
    model: PathLike, images: PathLike | Sequence[PathLike] = (), *, pixels: str = "0..255"
) -> Lint:
    """Return the tensors of a model file whose parts share a scale but not a range.

    Args:
        model: An ONNX or TFLite file that takes an image, from any tool.
        images: Images to run it on; synthetic ones if there are none.
        pixels: Values of black and white that a float input expects: ``0..255``, ``0..1`` or
            ``-1..1``.

    Raises:
        UsageError: If an argument is of the wrong type.
        ConfigError: If `model` is not such a file.
        MissingPackageError: If the package that runs its format is not installed.
        EdgetlRuntimeError: If an image cannot be read.
    """
    return graph_lint.lint(
        as_path("model", model),
        as_paths("images", images),
        pixels=as_choice("pixels", pixels, tuple(graph_lint.PIXELS)),
    )
