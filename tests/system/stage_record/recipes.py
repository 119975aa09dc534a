"""Tiny recipes that use every stage, with images and weights that are the same on every machine.

Images are made of integers and stored without compression; weights are multiples of powers of two.
So nothing that a stage is given depends on a processor or on the version of an encoder.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RECIPES = ("classification", "detection", "import")

_COLOURS = np.array([[200, 60, 40], [40, 180, 70], [60, 70, 210]])
_CLASSES = ("brick", "leaf", "tile")
_ODD_ONE = 5
"""Of so many images of a class the last one shows another class, so that accuracies are not 1."""
_SCENES = 24
_LAYOUTS = 6

_CLASSIFICATION = """\
name: fixed
task: classification
data: {path: images, val: 0.25, test: 0.25, seed: 0}
unlabelled: {path: site/unlabelled}
evaluation: {path: site/labelled}
input: {size: 32, fit: letterbox}
teacher:
  family: mobilenet_v3_small
  width: 0.25
  weights: start.safetensors
  refine: [{adapt: {}}]
finetune:
  {strategy: probe-then-full, probe_epochs: 1, epochs: 1, batch_size: 24, optimizer: sgd, lr: 0.03}
student: {family: few_layers, refine: [{adapt: {}}]}
distill: {method: soft-targets, epochs: 2, batch_size: 8, optimizer: sgd, lr: 0.01, views: 2}
benchmark: {seconds: 0.02, count: 20, rounds: 4, most_rounds: 4}
device: cpu
calibration: fixed
targets: [timed, untimed]
"""
_DETECTION = """\
name: fixed
task: detection
data: {path: scenes, val: 0.25, test: 0.25, seed: 0}
input: {size: 64}
teacher: {family: yolox_nano, width: 0.25, weights: none}
finetune: {epochs: 1, batch_size: 12, optimizer: sgd, lr: 0.001}
operating_point: {recall: {leaf: 0.3}}
device: cpu
calibration: fixed
targets: [untimed]
"""
_IMPORT = """\
name: fixed
task: classification
data: {path: images, val: 0.25, test: 0.25, seed: 0}
model: {path: saved}
operating_point: {precision: {brick: 0.2}, recall: {leaf: 0.2}}
device: cpu
calibration: fixed
targets: [untimed]
"""
_CALIBRATION = """\
name: fixed
split: train
count: 12
sampling: balanced
range: {estimator: percentile, percentile: 97.0}
"""
_TARGET = """\
name: %(name)s
description: what is known of a machine when a record is made
device: %(device)s
threads: 1
candidates: {%(formats)s}
limits: {drop_pp: 100, better_than_guessing: false}
"""


def write_recipe(folder: Path, name: str) -> None:
    """Write one of `RECIPES` into `folder`, with all that it reads."""
    match name:
        case "classification":
            _write_texts(folder, _CLASSIFICATION, "onnx: [fp32, int8], tflite: [int8]")
            _write_classes(folder / "images", 16, (31, 37), seed=0)
            _write_classes(folder / "site" / "labelled", 5, (37, 31), seed=1)
            for number, image in enumerate(_images(4, (37, 31), seed=2)):
                _write_image(folder / "site" / "unlabelled" / f"{number:02}.ppm", image)
            _write_weights(folder / "start.safetensors")
        case "detection":
            _write_texts(folder, _DETECTION, "onnx: [fp32]")
            _write_scenes(folder / "scenes")
        case _:
            _write_texts(folder, _IMPORT, "onnx: [fp32]")
            _write_classes(folder / "images", 16, (31, 37), seed=0)
            _write_model(folder / "saved")


def _write_texts(folder: Path, recipe: str, formats: str) -> None:
    texts = {"recipe": recipe, "calibration/fixed": _CALIBRATION}
    for name, device in (("timed", "local"), ("untimed", "null")):
        values = {"name": name, "device": device, "formats": formats}
        texts[f"targets/{name}"] = _TARGET % values
    for name, text in texts.items():
        path = folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _write_classes(folder: Path, count: int, size: tuple[int, int], *, seed: int) -> None:
    for number, image in enumerate(_images(count, size, seed=seed)):
        kind, position = number % len(_CLASSES), number // len(_CLASSES)
        if position % _ODD_ONE == _ODD_ONE - 1:
            kind = (kind + 1) % len(_CLASSES)
        _write_image(folder / _CLASSES[kind] / f"{number:02}.ppm", image)


def _images(count: int, size: tuple[int, int], *, seed: int) -> list[NDArray[np.uint8]]:
    """Return `count` images of each class in turn: a colour with a pattern, and a little noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    patterns = (y * 40 // size[0], x // 5 % 2 * 30, (x // 6 + y // 6) % 2 * 30)
    images = []
    for number in range(count * len(_CLASSES)):
        kind = number % len(_CLASSES)
        levels = _COLOURS[kind] + patterns[kind][:, :, None] + rng.integers(-2, 3, 3)
        images.append((levels + rng.integers(-1, 2, (*size, 1))).astype(np.uint8))
    return images


def _write_scenes(folder: Path) -> None:
    """Write rectangles on grey, with YOLO labels; a few layouts come again and again."""
    noise = np.random.default_rng(3)
    (folder / "labels").mkdir(parents=True)
    (folder / "data.yaml").write_text(f"names: [{', '.join(_CLASSES)}]\n", encoding="utf-8")
    for number in range(_SCENES):
        layout = np.random.default_rng(number % _LAYOUTS)
        height, width = (48, 64) if number % 2 else (64, 57)
        image = np.full((height, width, 3), 110, np.uint8)
        image += noise.integers(0, 4, image.shape, np.uint8)
        lines = []
        for position in range(1 + number % 3):
            kind = int(layout.integers(len(_CLASSES)))
            h, w = (8 * int(side) for side in layout.integers(1, 4, 2))
            # Each in columns of its own, so that none covers another; the last may be cut.
            left, top = 24 * position, int(layout.integers(0, height - h))
            w = min(w, width - left)
            image[top : top + h, left : left + w] = _COLOURS[kind]
            centre = ((left + w / 2) / width, (top + h / 2) / height)
            lines.append(f"{kind} {centre[0]} {centre[1]} {w / width} {h / height}\n")
        _write_image(folder / "images" / f"{number:02}.ppm", image)
        text = folder / "labels" / f"{number:02}.txt"
        text.write_text("".join(lines), encoding="utf-8")


def _write_image(path: Path, image: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width, _ = image.shape
    path.write_bytes(b"P6 %d %d 255\n" % (width, height) + image.tobytes())


def _write_weights(path: Path) -> None:
    """Write weights for the teacher, with a head for other classes."""
    from safetensors.torch import save_file

    from edgetl.models import FAMILIES
    from tests.system.stage_record.weights import set_exact_weights

    family = FAMILIES.load("mobilenet_v3_small")
    module = family.build(width=0.25, num_classes=5, seed=0)
    set_exact_weights(module, seed=0)
    save_file(module.state_dict(), path)


def _write_model(folder: Path) -> None:
    """Write a model as edgetl saves it."""
    from edgetl.config.recipe import InputTable
    from edgetl.models import FAMILIES, ModelSpec, save_model
    from tests.system.stage_record.weights import set_exact_weights

    folder.mkdir()
    module = FAMILIES.load("few_layers").build(width=1.0, num_classes=len(_CLASSES), seed=0)
    set_exact_weights(module, seed=0)
    image_input = InputTable(size=32, fit="stretch", pad=0)
    spec = ModelSpec.of("few_layers", width=1.0, classes=_CLASSES, image_input=image_input)
    save_model(folder, spec, module)
