"""A model folder, opened and ready to predict."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from edgetl.runtime import tasks
from edgetl.runtime.bundle import check_place
from edgetl.runtime.contract import Contract
from edgetl.runtime.cores import usable_threads
from edgetl.runtime.engines import Session, open_session
from edgetl.runtime.errors import BundleError, ContractError, EdgetlUsageError
from edgetl.runtime.frames import check_frame
from edgetl.runtime.image_file import read_fitted
from edgetl.runtime.model_files import check_digests, check_sizes
from edgetl.runtime.preprocess import fit_image

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import NDArray

    from edgetl.runtime.frames import Order


@dataclass(frozen=True)
class Predictor:
    """A model with its contract.

    Threads may share one. Its session runs one sample at a time: the others wait, so a second
    thread gains the time of decoding and fitting; for more, open a predictor in each.
    """

    folder: Path
    contract: Contract
    session: Session
    threads: int = 1
    """Of the CPU in one inference."""
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)
    """Held while the session runs; copies of this predictor have the same session and lock."""

    @classmethod
    def open(cls, folder: str | Path, threads: int = 1) -> Predictor:
        """Load the model of a folder.

        Args:
            folder: A bundle or model folder.
            threads: How many threads of the CPU one inference may use; no more than there are
                usable cores are used, with a warning.

        Raises:
            ContractError: If the contract cannot be read or contradicts the model file.
            BundleError: If a model file is missing or damaged.
            EngineError: If the engine's package is not installed, or the contract's provider does
                not run all of it.
        """
        place = Path(folder)
        contract = Contract.load(place)
        check_sizes(place, contract.files)
        file = place / contract.file
        used = usable_threads(threads)
        try:
            session = open_session(contract.format, file, used, contract.provider)
            _check_inputs(file, contract, session)
            _check_outputs(file, contract, session)
        except (BundleError, ContractError):
            # Engines call damage all sorts of things, or load part of the file.
            check_digests(place, contract.files)
            raise
        return cls(place, contract, session, used)

    def with_threshold(self, threshold: float) -> Predictor:
        """Return the same model with another score threshold.

        Raises:
            EdgetlUsageError: If the task has no threshold.
            ValueError: If `threshold` is not in 0..1.
        """
        task = tasks.load(self.contract.task)
        return replace(self, contract=task.with_threshold(self.contract, threshold))

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Return the outputs for some samples, by the contract's names.

        Args:
            inputs: Fitted samples by the contract's names, each ``(N, ...)`` in the input's shape
                and `array_dtype`; run one by one.

        Returns:
            Arrays of shape ``(N, ...)``.

        Raises:
            ValueError: If `inputs` have other names, shapes or dtypes.
        """
        self._check_arrays(inputs)
        specs = self.contract.inputs
        count = len(inputs[specs[0].name])
        outputs = {
            output.name: np.empty((count, *output.shape[1:]), np.float32)
            for output in self.contract.outputs
        }
        for i in range(count):
            sample = {spec.tensor: inputs[spec.name][i : i + 1] for spec in specs}
            with self._lock:
                row = self.session.run(sample)
            for output in self.contract.outputs:
                outputs[output.name][i] = row[output.tensor][0]
        return outputs

    def predict(self, image: str | Path) -> tasks.Prediction:
        """Return the prediction for the image file `image`; see `predict_array`.

        Raises:
            ImageError: If the image cannot be read.
            BundleError: If the model's outputs are not finite.
            EdgetlUsageError: If the model does not take one image.
        """
        spec = self.contract.image
        pixels, size = read_fitted(Path(image), spec.preprocess)
        return self.predict_inputs({spec.name: pixels[np.newaxis]}, size)

    def predict_array(self, image: NDArray[np.uint8], order: Order = "rgb") -> tasks.Prediction:
        """Return the prediction for an upright image, for example a frame of a camera.

        A classifier gives `edgetl.runtime.tasks.classification.ClassPrediction`, a detector
        `edgetl.runtime.detections.Detections` in pixels of the image.

        Args:
            image: Shape ``(h, w, 3)`` of any size, uint8.
            order: Of the channels: ``rgb``, or ``bgr`` as OpenCV gives them.

        Raises:
            TypeError: If `image` is no array.
            ValueError: If it has another shape or dtype; the message holds the conversion.
            BundleError: If the model's outputs are not finite.
            EdgetlUsageError: If the model does not take one image.
        """
        spec = self.contract.image
        check_frame(image, order)
        pixels = fit_image(image, spec.preprocess)
        if order == "bgr":
            # Channels are fitted apart, so the small image is turned instead of the large one.
            pixels = np.ascontiguousarray(pixels[:, :, ::-1])
        size = (image.shape[0], image.shape[1])
        return self.predict_inputs({spec.name: pixels[np.newaxis]}, size)

    def predict_inputs(
        self, inputs: Mapping[str, NDArray[Any]], image_size: tuple[int, int] | None = None
    ) -> tasks.Prediction:
        """Return the prediction for one sample.

        Args:
            inputs: As `run` takes them, with one sample each.
            image_size: Height and width that the image had before it was fitted; boxes are in its
                pixels. None if there is no image.

        Raises:
            BundleError: If the model's outputs are not finite.
            ValueError: If `inputs` have other names, shapes or dtypes, or the task needs the size.
        """
        outputs = {name: values[0] for name, values in self.run(inputs).items()}
        if not all(np.isfinite(values).all() for values in outputs.values()):
            raise BundleError(
                f"the model in {self.folder} gives outputs that are not finite",
                remedy=f"python -m edgetl.runtime check {self.folder}",
            )
        return tasks.load(self.contract.task).predict(outputs, self.contract, image_size)

    def _check_arrays(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        specs = self.contract.inputs
        fitting = len(inputs) == len(specs) and all(
            spec.name in inputs
            and inputs[spec.name].dtype == spec.array_dtype
            and inputs[spec.name].shape[1:] == spec.shape[1:]
            for spec in specs
        )
        if not fitting or len({len(values) for values in inputs.values()}) != 1:
            given = ", ".join(f"{name} {each.dtype} {each.shape}" for name, each in inputs.items())
            wanted = ", ".join(
                f"{spec.name} {spec.array_dtype} (N, {', '.join(map(str, spec.shape[1:]))})"
                for spec in specs
            )
            raise ValueError(f"inputs are {given}; the model takes {wanted}")


def load(bundle: str | PathLike[str], *, threads: int = 1) -> Predictor:
    """Return a predictor of the model in the folder `bundle`.

    Args:
        bundle: A bundle or model folder.
        threads: How many threads of the CPU one inference may use; see `Predictor.open`.

    Raises:
        EdgetlUsageError: If an argument is of the wrong type, or there is no such folder.
        EdgetlRuntimeError: If the model cannot be opened; see `Predictor.open`.
    """
    if not isinstance(bundle, (str, PathLike)):
        raise EdgetlUsageError(
            f"`bundle` is {type(bundle).__name__} {bundle!r}",
            remedy="it must be the path of a bundle, such as 'dist/host'",
        )
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise EdgetlUsageError(
            f"`threads` is {type(threads).__name__} {threads!r}",
            remedy="it must be an integer above zero",
        )
    check_place(Path(bundle))
    return Predictor.open(Path(bundle), threads)


_REMEDY = "export the model again; its contract.json belongs to another file"


def _check_inputs(file: Path, contract: Contract, session: Session) -> None:
    infos = {info.name: info for info in session.inputs}
    for spec in contract.inputs:
        info = infos.pop(spec.tensor, None)
        if info is None or info.shape != spec.shape or spec.dtype not in (None, info.dtype):
            given = "no such input" if info is None else f"{info.dtype} {info.shape}"
            raise ContractError(
                f"input '{spec.tensor}' of {file} is {given}, but its contract states "
                f"{spec.dtype or 'any dtype'} {spec.shape}",
                remedy=_REMEDY,
            )
    if infos:
        raise ContractError(
            f"{file} has an input '{min(infos)}' that its contract does not name", remedy=_REMEDY
        )


def _check_outputs(file: Path, contract: Contract, session: Session) -> None:
    shapes = {info.name: info.shape for info in session.outputs}
    for output in contract.outputs:
        if shapes.get(output.tensor) != output.shape:
            raise ContractError(
                f"{file} has the outputs {shapes}, but its contract states "
                f"'{output.tensor}' {output.shape}",
                remedy=_REMEDY,
            )
