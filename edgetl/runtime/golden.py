"""Golden samples: real inputs with the expected results, replayed on every machine.

``golden.npz`` holds

- ``input.<name>``: the model's inputs, by the contract's names, ``(G, ...)``;
- ``reference.<output>``: the outputs of the float model in torch for them;
- ``recorded.<output>``: the outputs of this file where it was made;
- ``fitted``: for a model with an image, the fitted pixels that the images ``golden-<i>.png`` must
  become, uint8 ``(P, H, W, 3)``.

So a replay checks decoding and resizing separately from the model. The archive is compressed, and a
task may round the stored values, by at most `STORED_STEP`. Archives from before there were several
inputs call the only one ``pixels``; they are read too.

Tolerances, none below `STORED_STEP`, and why:

- pixels: 1 level of 255. PNG is lossless; Pillow's resampling may round the last bit differently in
  another build.
- outputs of fp32 files: 1e-4 of the recorded range. Other processors sum in a different order.
- integer outputs: one step of the scale that the file states, or 1e-4 of the range if that is more.
  Integer kernels give the same bits everywhere except for the rounding of a final float operation.
- float outputs of other files: 1/255 of the range, one 8-bit step: on another processor an
  intermediate value may round to the neighbouring step, or 16-bit floats may be computed natively.
- predictions: the task's own, see `edgetl.runtime.tasks`.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL
from PIL import Image

from edgetl.runtime import tasks
from edgetl.runtime.contract import Contract
from edgetl.runtime.engines import TensorInfo
from edgetl.runtime.errors import COPY_AGAIN, BundleError
from edgetl.runtime.image_file import read_image
from edgetl.runtime.predictor import Predictor
from edgetl.runtime.preprocess import fit_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

GOLDEN_FILE = "golden.npz"
MAX_SIDE = 640
"""Longest side of a golden image, pixels; keeps bundles small."""

STORED_STEP = 2.0**-20
"""Stored boxes and scores of a detector, both in 0..1, are multiples of it."""

_OLD_INPUT = "pixels"
_PIXEL_LEVELS = 1.0
_FLOAT_SHARE = 1e-4
_STEP_SHARE = 1 / 255


@dataclass(frozen=True)
class Golden:
    """The content of ``golden.npz``."""

    inputs: dict[str, NDArray[Any]]
    fitted: NDArray[np.uint8]
    """Empty if the model takes no image."""
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
    """None if the difference is only shown, not judged."""

    @property
    def passed(self) -> bool:
        """Whether the difference is within the tolerance."""
        return self.tolerance is None or self.worst <= self.tolerance


@dataclass(frozen=True)
class Replay:
    """The comparisons of one replay."""

    rows: tuple[ReplayRow, ...]
    packages: str
    """Engine, numpy and Pillow with their versions."""

    @property
    def passed(self) -> bool:
        """Whether every comparison is within its tolerance."""
        return all(row.passed for row in self.rows)


def image_file(index: int) -> str:
    """Return the name of golden image `index`."""
    return f"golden-{index}.png"


def record(
    folder: Path,
    inputs: Mapping[str, NDArray[Any]],
    reference: Mapping[str, NDArray[np.float32]],
    images: Sequence[NDArray[np.uint8]],
) -> None:
    """Write golden files into the model folder `folder`, running its model once.

    Args:
        folder: Holds the model files and their contract.
        inputs: As `Predictor.run` takes them, at least one sample.
        reference: The float model's outputs for `inputs` by output name, shape ``(G, ...)``.
        images: Source images, each ``(h, w, 3)`` uint8 RGB with sides up to `MAX_SIDE`; at least
            one if the model takes an image, else none.

    Raises:
        ValueError: If there are no samples, an image is too large, or `reference` or the number of
            images does not fit.
    """
    predictor = Predictor.open(folder)
    contract = predictor.contract
    recorded = predictor.run(inputs)
    shapes = {name: values.shape for name, values in recorded.items()}
    given = {name: values.shape for name, values in reference.items()}
    if given != shapes or not all(shape[0] for shape in shapes.values()):
        raise ValueError(f"reference must hold {shapes} for at least one sample")
    arrays: dict[str, NDArray[Any]] = {f"input.{name}": each for name, each in inputs.items()}
    if contract.images:
        arrays["fitted"] = _fitted(folder, contract, images)
    elif images:
        raise ValueError("the model takes no image")
    stored = tasks.load(contract.task).stored
    for name, values in recorded.items():
        arrays[f"reference.{name}"] = stored(reference[name].astype(np.float32))
        arrays[f"recorded.{name}"] = stored(values)
    # numpy dates the members of the archive 1980, so equal arrays give equal bytes.
    with (folder / GOLDEN_FILE).open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def load(folder: Path, contract: Contract) -> Golden:
    """Return the golden samples of `folder`, whose contract is `contract`.

    Raises:
        BundleError: If they are missing or cannot be read.
    """
    path = folder / GOLDEN_FILE
    try:
        # Opened here, because numpy 2.4 leaves the file of a truncated archive open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            keys = {spec.name: f"input.{spec.name}" for spec in contract.inputs}
            if _OLD_INPUT in arrays.files:
                keys = {contract.inputs[0].name: _OLD_INPUT}
            names = [output.name for output in contract.outputs]
            return Golden(
                inputs={name: arrays[key] for name, key in keys.items()},
                fitted=arrays["fitted"] if contract.images else np.empty((0, 0, 0, 3), np.uint8),
                reference={name: arrays[f"reference.{name}"] for name in names},
                recorded={name: arrays[f"recorded.{name}"] for name in names},
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise BundleError(f"{path} cannot be read: {error}", remedy=COPY_AGAIN) from error


def replay(folder: Path, threads: int = 1) -> Replay:
    """Decode, fit and run the golden samples of `folder` and compare with the expected results.

    Raises:
        EdgetlRuntimeError: If the model or the samples cannot be opened; a difference is a row.
    """
    predictor = Predictor.open(folder, threads)
    contract = predictor.contract
    golden = load(folder, contract)
    rows: list[ReplayRow] = []
    for index, expected in enumerate(golden.fitted):
        name = image_file(index)
        image = fit_image(read_image(folder / name), contract.images[0].preprocess)
        rows.append(ReplayRow(name, "fitted pixels", _worst(image, expected), _PIXEL_LEVELS))
    outputs = predictor.run(golden.inputs)
    infos = {info.name: info for info in predictor.session.outputs}
    allowed: dict[str, float] = {}
    for output in contract.outputs:
        name, values, recorded = output.name, outputs[output.name], golden.recorded[output.name]
        allowed[name] = _tolerance(contract.precision, infos[output.tensor], recorded)
        reference = golden.reference[name]
        rows += [
            ReplayRow(
                name, "against the recorded outputs", _worst(values, recorded), allowed[name]
            ),
            ReplayRow(name, "against the float model", _worst(values, reference), None),
        ]
    rows += tasks.load(contract.task).replay_rows(contract, golden, outputs, allowed)
    packages = (predictor.session.engine, f"numpy {np.__version__}", f"pillow {PIL.__version__}")
    return Replay(tuple(rows), ", ".join(packages))


def _fitted(
    folder: Path, contract: Contract, images: Sequence[NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    """Write `images` into `folder` and return them as the model's first image is fitted."""
    if not images or max(max(image.shape[:2]) for image in images) > MAX_SIDE:
        raise ValueError(f"images must be at least one, with sides up to {MAX_SIDE}")
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / image_file(index))
    return np.stack([fit_image(image, contract.images[0].preprocess) for image in images])


def _worst(
    values: NDArray[np.uint8] | NDArray[np.float32],
    expected: NDArray[np.uint8] | NDArray[np.float32],
) -> float:
    difference = np.abs(values.astype(np.float64) - expected.astype(np.float64))
    # A NaN compares as neither small nor large, but must not pass.
    return float(np.nan_to_num(difference, nan=np.inf).max())


def _tolerance(precision: str, info: TensorInfo, recorded: NDArray[np.float32]) -> float:
    share = _FLOAT_SHARE if precision == "fp32" or info.scale is not None else _STEP_SHARE
    return max(info.scale or 0.0, share * float(np.ptp(recorded)), STORED_STEP)
