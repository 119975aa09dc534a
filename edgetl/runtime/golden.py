"""Golden samples: real inputs with the expected results, replayed wherever the model goes.

``golden.npz`` holds

- ``pixels``: network inputs, uint8 ``(G, H, W, 3)``;
- ``reference.<output>``: what the float model in torch answers to them;
- ``recorded.<output>``: what this very file answered where it was made;
- ``fitted``: the network inputs that the images ``golden-<i>.png`` must become, ``(P, H, W, 3)``.

So a replay proves decoding and resizing apart from the model. The archive is compressed. What a
detector answers is stored to the nearest `STORED_STEP`: nearly all scores are far below it, so the
millions of digits that say nothing take no space.

Tolerances, none below `STORED_STEP`, and why:

- pixels: 1 level of 255. PNG is lossless; Pillow's resampling may round the last bit otherwise in
  another build.
- outputs of fp32 files: 1e-4 of the recorded range. Other processors add in another order.
- integer outputs: one step of the scale that the file states, or 1e-4 of the range if that is more.
  Integer kernels give the same bits everywhere but for the rounding of a last float operation.
- float outputs of other files: 1/255 of the range, an 8-bit step over it: on another processor an
  inner value may round to the neighbouring step, or 16-bit floats may be computed as such.
- detections after suppression: see `edgetl.runtime.agreement`.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgetl.runtime.contract import DETECTION, Contract
from edgetl.runtime.engines import TensorInfo
from edgetl.runtime.errors import BundleError
from edgetl.runtime.predictor import Predictor
from edgetl.runtime.preprocess import fit_image, read_image

GOLDEN_FILE = "golden.npz"
MAX_SIDE = 640
"""Longest side of a golden image, pixels; keeps bundles small."""

STORED_STEP = 2.0**-20
"""What the stored boxes and scores of a detector, both in 0..1, are multiples of."""

_PIXEL_LEVELS = 1.0
_FLOAT_SHARE = 1e-4
_STEP_SHARE = 1 / 255


@dataclass(frozen=True)
class Golden:
    """The content of ``golden.npz``."""

    pixels: NDArray[np.uint8]
    fitted: NDArray[np.uint8]
    reference: dict[str, NDArray[np.float32]]
    recorded: dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class ReplayRow:
    """One comparison of a replay."""

    name: str
    """For example ``golden-0.png``, ``logits`` or ``detections``."""
    what: str
    worst: float
    """Largest absolute difference; pixel levels for images, a count for detections."""
    tolerance: float | None
    """None where the difference is only told, not judged."""

    @property
    def passed(self) -> bool:
        """Whether the difference is within the tolerance."""
        return self.tolerance is None or self.worst <= self.tolerance


@dataclass(frozen=True)
class Replay:
    """What a replay found."""

    rows: tuple[ReplayRow, ...]

    @property
    def passed(self) -> bool:
        """Whether every comparison is within its tolerance."""
        return all(row.passed for row in self.rows)


def image_file(index: int) -> str:
    """Return the name of golden image `index`."""
    return f"golden-{index}.png"


def record(
    folder: Path,
    pixels: NDArray[np.uint8],
    reference: Mapping[str, NDArray[np.float32]],
    images: Sequence[NDArray[np.uint8]],
) -> None:
    """Write golden files into the model folder `folder`, running its model once.

    Args:
        folder: Holds the model file and its contract.
        pixels: Network inputs, shape ``(G, H, W, 3)``, G at least 1.
        reference: The float model's outputs for `pixels` by output name, shape ``(G, ...)``.
        images: Source images, each ``(h, w, 3)`` uint8 RGB with sides up to `MAX_SIDE`, at least 1.

    Raises:
        ValueError: If there are no samples, an image is too large, or `reference` does not fit.
    """
    predictor = Predictor.open(folder)
    recorded = predictor.run(pixels)
    shapes = {name: values.shape for name, values in recorded.items()}
    if {name: values.shape for name, values in reference.items()} != shapes or not len(pixels):
        raise ValueError(f"reference must hold {shapes} for at least one sample")
    if not images or max(max(image.shape[:2]) for image in images) > MAX_SIDE:
        raise ValueError(f"images must be at least one, with sides up to {MAX_SIDE}")
    arrays: dict[str, NDArray[np.uint8] | NDArray[np.float32]] = {"pixels": pixels}
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / image_file(index))
    arrays["fitted"] = np.stack(
        [fit_image(image, predictor.contract.preprocess) for image in images]
    )
    kept = _stored if predictor.contract.task == DETECTION else np.asarray
    for name, values in recorded.items():
        arrays[f"reference.{name}"] = kept(reference[name].astype(np.float32))
        arrays[f"recorded.{name}"] = kept(values)
    # numpy dates the members of the archive 1980, so equal arrays give equal bytes.
    with (folder / GOLDEN_FILE).open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def load(folder: Path, outputs: Sequence[str]) -> Golden:
    """Return the golden samples of `folder`.

    Raises:
        BundleError: If they are missing or cannot be read.
    """
    path = folder / GOLDEN_FILE
    try:
        # Opened here: numpy 2.4 leaves the file of a torn archive open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return Golden(
                pixels=arrays["pixels"],
                fitted=arrays["fitted"],
                reference={name: arrays[f"reference.{name}"] for name in outputs},
                recorded={name: arrays[f"recorded.{name}"] for name in outputs},
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise BundleError(
            f"{path} cannot be read: {error}",
            remedy="copy the whole folder again from where it was made",
        ) from error


def replay(folder: Path, threads: int = 1) -> Replay:
    """Decode, fit and run the golden samples of `folder` and compare with what is expected.

    Raises:
        EdgetlRuntimeError: If the model or the samples cannot be opened; a difference is a row.
    """
    predictor = Predictor.open(folder, threads)
    golden = load(folder, [output.name for output in predictor.contract.outputs])
    rows: list[ReplayRow] = []
    for index, expected in enumerate(golden.fitted):
        name = image_file(index)
        image = fit_image(read_image(folder / name), predictor.contract.preprocess)
        rows.append(ReplayRow(name, "fitted pixels", _worst(image, expected), _PIXEL_LEVELS))
    found = predictor.run(golden.pixels)
    infos = {info.name: info for info in predictor.session.outputs}
    allowed: dict[str, float] = {}
    for output in predictor.contract.outputs:
        name, values, recorded = output.name, found[output.name], golden.recorded[output.name]
        allowed[name] = _tolerance(predictor.contract.precision, infos[output.tensor], recorded)
        reference = golden.reference[name]
        rows += [
            ReplayRow(name, "answers as recorded", _worst(values, recorded), allowed[name]),
            ReplayRow(name, "distance to the float model", _worst(values, reference), None),
        ]
    if predictor.contract.nms is not None:
        rows += _detection_rows(predictor.contract, golden, found, allowed)
    return Replay(tuple(rows))


def _detection_rows(
    contract: Contract,
    golden: Golden,
    found: Mapping[str, NDArray[np.float32]],
    allowed: Mapping[str, float],
) -> Iterator[ReplayRow]:
    """Yield whether the same objects are found as recorded, and as by the float model."""
    from edgetl.runtime.agreement import Comparison

    comparison = Comparison.of(contract, allowed)
    recorded = comparison.count(golden.recorded, found)
    yield ReplayRow(
        "detections",
        f"{recorded.total} recorded, not found again or new",
        float(recorded.lost),
        comparison.tolerance(recorded.total),
    )
    reference = comparison.count(golden.reference, found)
    yield ReplayRow(
        "detections",
        f"{reference.total} of the float model, not found or new",
        float(reference.lost),
        None,
    )


def _stored(values: NDArray[np.float32]) -> NDArray[np.float32]:
    steps: NDArray[np.float32] = np.rint(values / np.float32(STORED_STEP))
    return steps * np.float32(STORED_STEP)


def _worst(
    found: NDArray[np.uint8] | NDArray[np.float32],
    expected: NDArray[np.uint8] | NDArray[np.float32],
) -> float:
    difference = np.abs(found.astype(np.float64) - expected.astype(np.float64))
    # A NaN compares as neither small nor large, so it must not slip through.
    return float(np.nan_to_num(difference, nan=np.inf).max())


def _tolerance(precision: str, info: TensorInfo, recorded: NDArray[np.float32]) -> float:
    share = _FLOAT_SHARE if precision == "fp32" or info.scale is not None else _STEP_SHARE
    return max(info.scale or 0.0, share * float(np.ptp(recorded)), STORED_STEP)
