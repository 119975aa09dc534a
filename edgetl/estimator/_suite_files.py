"""Make the suite's folders: ``python -m edgetl.estimator._suite_files FORMAT OUT PRECISION...``.

Runs in a separate process, because converters print; they are imported once for all networks.
"""

from __future__ import annotations

import importlib
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edgetl.config.calibration import Int8Table
from edgetl.estimator.networks import Network, suite
from edgetl.exporters import EXPORTERS
from edgetl.quantizers import QUANTIZERS, IsolatedQuantizer, for_format
from edgetl.runtime import golden
from edgetl.runtime.contract import Contract, OutputSpec
from edgetl.runtime.detections import NmsSettings
from edgetl.runtime.engines import open_session
from edgetl.runtime.inputs import ImageInput
from edgetl.runtime.model_files import describe_files
from edgetl.runtime.preprocess import Preprocess
from edgetl.tasks import TASKS
from edgetl.types import Precision

_INPUT = "image"
_NUM_IMAGES = 2
"""Images for calibration; a few suffice, since quantization ranges do not affect times."""


def make(
    networks: Sequence[Network], format_: str, precisions: Sequence[Precision], out: Path
) -> None:
    """Write a model folder ``NAME-FORMAT-PRECISION`` of each network into `out`.

    Args:
        networks: Networks to export and quantize.
        format_: Name of an exporter.
        precisions: fp32 and the precisions of the format's quantizer.
        out: An existing folder.

    Raises:
        EdgetlError: If a network cannot be exported or quantized.
    """
    for network in networks:
        pixels = _images(network.size)
        reference, tensors = _export(network, format_, pixels, out / f"{network.name}-{format_}")
        for precision in precisions:
            source = out / f"{network.name}-{format_}"
            folder = out / f"{network.name}-{format_}-{precision}"
            if precision is Precision.FP32:
                shutil.copytree(source, folder)
            else:
                folder.mkdir()
                _quantize(source, format_, pixels, precision, folder)
            _complete(network, format_, precision, folder, pixels, reference, tensors)
        shutil.rmtree(out / f"{network.name}-{format_}")
        print(network.name, flush=True)  # noqa: T201 - read by the parent process


def _export(
    network: Network, format_: str, pixels: NDArray[np.uint8], folder: Path
) -> tuple[dict[str, NDArray[np.float32]], dict[str, str]]:
    folder.mkdir()
    module = network.build()
    with torch.inference_mode():
        result = module(torch.from_numpy(pixels[:1]).float())
    predictions = result if isinstance(result, tuple) else (result,)
    reference = {
        name: each.numpy() for name, each in zip(network.outputs, predictions, strict=True)
    }
    examples = {_INPUT: torch.zeros(1, *pixels.shape[1:])}
    if format_ == "tflite":
        return reference, _export_tflite(module, examples, network.outputs, folder)
    return reference, EXPORTERS.load(format_).export(module, examples, network.outputs, folder)


def _export_tflite(
    module: torch.nn.Module,
    examples: Mapping[str, torch.Tensor],
    outputs: tuple[str, ...],
    folder: Path,
) -> dict[str, str]:
    # The exporter would start a process for each file, which spends most of its time on imports.
    from edgetl.exporters import _litert_worker
    from edgetl.nn.program import trace

    with tempfile.TemporaryDirectory(prefix="edgetl-tflite-") as name:
        program = Path(name) / "program.pt2"
        torch.export.save(trace(module, examples, outputs), program)
        _litert_worker.main(program, folder / EXPORTERS.load("tflite").file)
    return {name: name for name in outputs}


def _quantize(
    source: Path, format_: str, pixels: NDArray[np.uint8], precision: Precision, folder: Path
) -> None:
    name = for_format(format_)
    quantizer = QUANTIZERS.load(name or format_)
    if not isinstance(quantizer, IsolatedQuantizer):
        raise TypeError(f"quantizer '{name}' has no module to run in this process")
    importlib.import_module(quantizer.module).quantize(
        source / EXPORTERS.load(format_).file, {_INPUT: pixels}, precision, Int8Table(), folder
    )


def _complete(  # noqa: PLR0917 - the parts of a model folder
    network: Network,
    format_: str,
    precision: Precision,
    folder: Path,
    pixels: NDArray[np.uint8],
    reference: dict[str, NDArray[np.float32]],
    tensors: dict[str, str],
) -> None:
    exporter = EXPORTERS.load(format_)
    (given,) = open_session(format_, folder / exporter.file, 1).inputs
    contract = Contract(
        task=network.task,
        labels=tuple(f"class {i}" for i in range(reference[network.outputs[-1]].shape[-1])),
        format=format_,
        files=describe_files(folder, exporter.files),
        precision=precision.value,
        inputs=(ImageInput(_INPUT, given.name, _fit(network.size), given.dtype),),
        outputs=tuple(
            OutputSpec(name, tensors[name], (1, *reference[name].shape[1:]), name)
            for name in network.outputs
        ),
        nms=NmsSettings(0.9, 0.5, 100, "class-aware") if TASKS.load(network.task).has_nms else None,
    )
    contract.save(folder)
    golden.record(folder, {_INPUT: pixels[:1]}, reference, [pixels[0]])


def _fit(size: int) -> Preprocess:
    return Preprocess(size, size, "stretch", "bilinear", 0)


def _images(size: int) -> NDArray[np.uint8]:
    blocks = np.random.default_rng(0).integers(0, 256, (_NUM_IMAGES, 8, 8, 3), dtype=np.uint8)
    side = -(-size // 8)
    return np.ascontiguousarray(blocks.repeat(side, axis=1).repeat(side, axis=2)[:, :size, :size])


if __name__ == "__main__":
    make(suite(), sys.argv[1], [Precision(word) for word in sys.argv[3:]], Path(sys.argv[2]))
