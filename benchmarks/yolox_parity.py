"""Claim: published YOLOX weights give the same answers in edgetl as in an exported ONNX file.

Both see the same letterboxed images. The raw answers of the network are compared with the file's
(offsets, objectness and class probabilities before decoding), and what edgetl deploys, boxes and
scores from raw RGB pixels, with the file's answers decoded in numpy.

    python benchmarks/yolox_parity.py WEIGHTS ONNX IMAGE... [--family yolox_nano] [--classes 80]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from edgetl.config.recipe import InputTable
from edgetl.models import FAMILIES, ModelSpec, deployable
from edgetl.nn.boxes import Grid
from edgetl.runtime.image_file import read_image
from edgetl.runtime.preprocess import fit_image
from edgetl.train.weights import load_into
from edgetl.train.weights_file import read_weights

_LIMIT = 1e-3

Array = NDArray[np.float32]


def main() -> None:
    """Print the largest difference per image, and whether all stay below the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("onnx", type=Path)
    parser.add_argument("images", type=Path, nargs="+")
    parser.add_argument("--family", default="yolox_nano")
    parser.add_argument("--classes", type=int, default=80)
    given = parser.parse_args()
    session = onnxruntime.InferenceSession(given.onnx, providers=["CPUExecutionProvider"])
    source = session.get_inputs()[0]
    spec, network = _network(given.family, given.classes, given.weights, size=source.shape[2])
    whole = deployable(spec, network)
    print(f"{'image':<28} {'raw predictions':>12} {'boxes':>12} {'scores':>12}")
    worst = 0.0
    for image in given.images:
        pixels = fit_image(read_image(image), spec.preprocess)[None].astype(np.float32)
        bgr = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)[:, ::-1])
        expected = session.run(None, {source.name: bgr})[0]
        found = _differences(network, whole, pixels, expected, size=spec.input.size)
        print(f"{image.name:<28} " + " ".join(f"{value:>12.2e}" for value in found))
        worst = max(worst, *found)
    print(f"limit {_LIMIT:g}: {'holds' if worst < _LIMIT else 'MISSED'}")


def _network(
    family: str, num_classes: int, weights: Path, *, size: int
) -> tuple[ModelSpec, nn.Module]:
    described = FAMILIES.load(family)
    network = described.build(width=1.0, num_classes=num_classes, seed=0)
    report = load_into(network, read_weights(weights), described, "file")
    print(f"{family}: {report.sentence()}")
    spec = ModelSpec.of(
        family,
        width=1.0,
        classes=tuple(str(index) for index in range(num_classes)),
        image_input=InputTable(size=size, anchor="top-left"),
    )
    return spec, network.eval()


def _differences(
    network: nn.Module, whole: nn.Module, pixels: Array, expected: Array, *, size: int
) -> tuple[float, float, float]:
    images = torch.from_numpy(pixels)
    with torch.inference_mode():
        raw = network(images.permute(0, 3, 1, 2))
        boxes, scores = (output.numpy() for output in whole(images))
    parts = (raw.offsets, raw.objectness.sigmoid(), raw.classes.sigmoid())
    predictions = torch.cat(parts, dim=2).numpy()
    offsets, objectness, classes = np.split(expected, [4, 5], axis=2)
    return (
        _largest(predictions - expected),
        _largest(boxes - _decoded(offsets, size)),
        _largest(scores - objectness * classes),
    )


def _decoded(offsets: Array, size: int) -> Array:
    """Return boxes, xyxy in shares of the input, by the formulas of the paper."""
    grid = Grid.of(size, size, (8, 16, 32))
    corners, strides = grid.corners.numpy(), grid.strides.numpy()
    centres = (offsets[..., :2] + corners) * strides
    half = np.exp(offsets[..., 2:]) * strides / 2
    return np.clip(np.concatenate([centres - half, centres + half], axis=2) / size, 0, 1)


def _largest(differences: Array) -> float:
    return float(np.abs(differences).max())


if __name__ == "__main__":
    main()
