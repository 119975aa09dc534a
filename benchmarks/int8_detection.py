"""Claim: int8 files of a published detector keep its accuracy when they are made with care.

Every image of DATA (any layout of labelled boxes) is a test image; the images in CALIBRATION are
others, without labels. The float file of each format is measured, then the int8 file as quantizers
make it by default (all values in range, nothing in float), then the one that
`calibration/detection-100.yaml` asks for. Accuracy is COCO mAP through the runtime that ships.

    python benchmarks/int8_detection.py DATA WEIGHTS CALIBRATION [--family yolox_nano] [--size 416]
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edgetl.config.calibration import Int8Table
from edgetl.config.load import load_calibration
from edgetl.config.recipe import InputTable
from edgetl.data.dataset import Dataset, Item, Truth, write_images, write_index
from edgetl.data.image_sets import Images, open_images
from edgetl.data.sources import Sample
from edgetl.exporters import EXPORTERS
from edgetl.models import FAMILIES, ModelSpec, deployable
from edgetl.quantizers import QUANTIZERS, for_format
from edgetl.runtime.contract import Contract, OutputSpec
from edgetl.runtime.image_file import read_image
from edgetl.runtime.inputs import ImageInput
from edgetl.runtime.model_files import ModelFile, describe_files
from edgetl.runtime.predictor import Predictor
from edgetl.runtime.preprocess import fit_image
from edgetl.tasks import TASKS
from edgetl.train.weights import load_into
from edgetl.train.weights_file import read_weights
from edgetl.types import Precision, Split

_EVALUATION = TASKS.load("detection").evaluation


def main() -> None:
    """Print one line per file: mAP and its drop against the float file of its format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("calibration", type=Path)
    parser.add_argument("--family", default="yolox_nano")
    parser.add_argument("--size", type=int, default=416)
    given = parser.parse_args()
    family = FAMILIES.load(given.family)
    careful = load_calibration("detection-100").int8
    with (
        tempfile.TemporaryDirectory() as place,
        open_images(given.data, None, (), TASKS.load("detection").data) as images,
    ):
        spec = ModelSpec.of(
            given.family,
            width=1.0,
            classes=images.listing.classes,
            image_input=InputTable(size=given.size),
        )
        module = family.build(width=1.0, num_classes=len(spec.classes), seed=0)
        load_into(module, read_weights(given.weights), family, "file")
        network = deployable(spec, module.eval())
        dataset = _dataset(Path(place), images, spec)
        chosen = _calibration(given.calibration, spec)
        print(f"{len(dataset.items(Split.TEST))} test images, {len(chosen)} others calibrate")
        print(f"{'file':<30} {'mAP':>6} {'mAP50':>6} {'drop':>6}")
        for name in EXPORTERS.names():
            _compare(Path(place) / name, name, _Case(network, spec, dataset, chosen, careful))


@dataclasses.dataclass(frozen=True)
class _Case:
    """What is the same for every format."""

    network: torch.nn.Module
    spec: ModelSpec
    dataset: Dataset
    chosen: NDArray[np.uint8]
    careful: Int8Table


def _compare(source: Path, name: str, case: _Case) -> None:
    exporter, quantizer = EXPORTERS.load(name), QUANTIZERS.load(for_format(name) or "")
    source.mkdir()
    size = case.spec.input.size
    examples = {"image": torch.zeros((1, size, size, 3))}
    tensors = exporter.export(case.network, examples, _EVALUATION.outputs, source)
    contract = _contract(case, name, describe_files(source, exporter.files), tensors)
    contract.save(source)
    before = _measure(source, f"{name} fp32", case.dataset, None)
    for how, settings in (("as it comes", Int8Table()), ("detection-100", case.careful)):
        out = source / how
        out.mkdir()
        quantizer.quantize(
            source / exporter.file, {"image": case.chosen}, Precision.INT8, settings, out
        )
        files = describe_files(out, exporter.files)
        dataclasses.replace(contract, precision="int8", files=files).save(out)
        _measure(out, f"{name} int8, {how}", case.dataset, before)


def _contract(
    case: _Case, name: str, files: tuple[ModelFile, ...], tensors: Mapping[str, str]
) -> Contract:
    spec = case.spec
    with torch.inference_mode():
        predictions = case.network(torch.zeros((1, spec.input.size, spec.input.size, 3)))
    return Contract(
        task=spec.task,
        labels=spec.classes,
        format=name,
        files=files,
        precision="fp32",
        inputs=(ImageInput("image", "image", spec.preprocess),),
        outputs=tuple(
            OutputSpec(each, tensors[each], tuple(answer.shape), each)
            for each, answer in zip(_EVALUATION.outputs, predictions, strict=True)
        ),
        nms=_EVALUATION.nms(case.dataset),
    )


def _measure(folder: Path, called: str, dataset: Dataset, before: float | None) -> float:
    predictor, images = Predictor.open(folder), dataset.images(Split.TEST)
    nms = predictor.contract.nms
    parts = [
        _EVALUATION.collect(
            predictor.run({"image": images[i : i + 1]}), dataset, Split.TEST, i, nms
        )
        for i in range(len(images))
    ]
    score = _EVALUATION.score(_EVALUATION.join(parts), dataset, Split.TEST)
    value, map50 = score.value, score.figures["map50"] or 0.0
    drop = "" if before is None else f"{100 * (before - value):>6.1f}"
    print(f"{called:<30} {100 * value:>6.1f} {100 * map50:>6.1f} {drop:>6}", flush=True)
    return value


def _dataset(folder: Path, images: Images, spec: ModelSpec) -> Dataset:
    """Return all images as a test split, fitted to the input."""
    samples, sizes, truths, fitted = images.listing.samples, [], [], []
    for sample in samples:
        pixels = images.decode(sample.name)
        sizes.append((pixels.shape[0], pixels.shape[1]))
        truths.append(_truth(sample, spec.classes))
        fitted.append(fit_image(pixels, spec.preprocess))
    size = spec.input.size
    with (folder / "images.npy").open("wb") as file:
        write_images(file, fitted, (len(fitted), size, size, 3))
    nothing: dict[Split, tuple[()]] = dict.fromkeys(Split, ())
    items = [Item(sample.name, 0, "") for sample in samples]
    write_index(
        folder,
        task="detection",
        classes=spec.classes,
        preprocess=spec.preprocess,
        items={**nothing, Split.TEST: items},
        dropped=(),
        truths={**nothing, Split.TEST: truths},
        image_sizes={**nothing, Split.TEST: sizes},
    )
    return Dataset.open(folder)


def _truth(sample: Sample, classes: tuple[str, ...]) -> Truth:
    return Truth(
        boxes=np.array([box.corners for box in sample.boxes], np.float32).reshape(-1, 4),
        labels=np.array([classes.index(box.label) for box in sample.boxes], np.int64),
        crowd=np.array([box.crowd for box in sample.boxes], np.bool_),
    )


def _calibration(folder: Path, spec: ModelSpec) -> NDArray[np.uint8]:
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".png"})
    return np.stack([fit_image(read_image(path), spec.preprocess) for path in files])


if __name__ == "__main__":
    main()
