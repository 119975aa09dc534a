"""A model folder, opened and ready to answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgetl.runtime.contract import Contract
from edgetl.runtime.decode import softmax, top_k
from edgetl.runtime.engines import Session, open_session
from edgetl.runtime.errors import BundleError, ContractError, EdgetlUsageError
from edgetl.runtime.preprocess import fit_image, read_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgetl.runtime.detections import Detections


@dataclass(frozen=True)
class Prediction:
    """What a classifier says of one image."""

    label: str
    index: int
    probabilities: tuple[float, ...]
    """One per class, in the order of the contract's labels; they add up to 1."""

    def top(self, count: int) -> list[int]:
        """Return the indices of the `count` likeliest classes, likeliest first."""
        return top_k(np.asarray(self.probabilities, np.float32), count)


@dataclass(frozen=True)
class Predictor:
    """A model with its contract. Not safe to use from two threads at once."""

    folder: Path
    contract: Contract
    session: Session

    @classmethod
    def open(cls, folder: Path, threads: int = 1) -> Predictor:
        """Load the model of `folder`.

        Raises:
            ContractError: If the contract cannot be read or the model file says otherwise.
            BundleError: If the model file is missing or damaged.
            EngineError: If the engine's package is not installed, or the contract's provider does
                not run all of it.
        """
        contract = Contract.load(folder)
        file = folder / contract.file
        session = open_session(contract.format, file, threads, contract.provider)
        _agree(folder, contract, session)
        return cls(folder, contract, session)

    def with_threshold(self, score: float) -> Predictor:
        """Return the same detector with another score that an object has at least.

        Raises:
            EdgetlUsageError: If the model is a classifier.
            ValueError: If `score` is not in 0..1.
        """
        nms = self.contract.nms
        if nms is None:
            raise EdgetlUsageError(
                f"{self.folder} is a classifier, which has no threshold",
                remedy="leave out --threshold; --top says how many classes are told",
            )
        contract = replace(self.contract, nms=replace(nms, score_threshold=score))
        return replace(self, contract=contract)

    def run(self, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Return the outputs for fitted images, by the contract's names.

        Args:
            pixels: Shape ``(N, H, W, 3)``, RGB, in the contract's size; run one by one.

        Returns:
            Arrays of shape ``(N, ...)``.

        Raises:
            ValueError: If `pixels` have another shape or type.
        """
        size = (self.contract.input.height, self.contract.input.width, 3)
        if pixels.dtype != np.uint8 or pixels.shape[1:] != size:
            raise ValueError(
                f"pixels are {pixels.dtype} {pixels.shape}; "
                f"the model takes uint8 (N, {', '.join(map(str, size))})"
            )
        found = {
            output.name: np.empty((len(pixels), *output.shape[1:]), np.float32)
            for output in self.contract.outputs
        }
        for i in range(len(pixels)):
            predictions = self.session.run(pixels[i : i + 1])
            for output in self.contract.outputs:
                found[output.name][i] = predictions[output.tensor][0]
        return found

    def predict(self, image: Path) -> Prediction | Detections:
        """Return what the model says of the image file `image`; see `predict_array`.

        Raises:
            ImageError: If the image cannot be read.
            BundleError: If the model answers with something that is no number.
        """
        return self.predict_array(read_image(image))

    def predict_array(self, image: NDArray[np.uint8]) -> Prediction | Detections:
        """Return what the model says of an upright RGB image of any shape ``(h, w, 3)``.

        A classifier gives a `Prediction`, a detector `Detections` in pixels of the image.
        """
        pixels = fit_image(image, self.contract.preprocess)
        if self.contract.nms is None:
            return self.classify(pixels)
        return self.detect(pixels, (image.shape[0], image.shape[1]))

    def classify(self, pixels: NDArray[np.uint8]) -> Prediction:
        """Return what the model says of one fitted image of shape ``(H, W, 3)``.

        Raises:
            BundleError: If the model answers with something that is no number.
            ValueError: If the model is no classifier.
        """
        if self.contract.nms is not None:
            raise ValueError(f"the task of {self.folder} is {self.contract.task}; it has no logits")
        logits = self._numbers(pixels)["logits"]
        probabilities = softmax(logits)
        (index,) = top_k(probabilities, 1)
        return Prediction(
            self.contract.labels[index], index, tuple(float(value) for value in probabilities)
        )

    def detect(self, pixels: NDArray[np.uint8], image_size: tuple[int, int]) -> Detections:
        """Return what the model finds on one fitted image.

        Args:
            pixels: Shape ``(H, W, 3)``, RGB, in the contract's size.
            image_size: Height and width that the image had before it was fitted; the boxes are in
                its pixels.

        Raises:
            BundleError: If the model answers with something that is no number.
            ValueError: If the model is no detector.
        """
        # Here, because a classifier does not need it.
        from edgetl.runtime.detections import detect

        nms = self.contract.nms
        if nms is None:
            raise ValueError(f"the task of {self.folder} is {self.contract.task}; it has no boxes")
        found = self._numbers(pixels)
        return detect(
            found["boxes"],
            found["scores"],
            image_size=image_size,
            preprocess=self.contract.preprocess,
            nms=nms,
        )

    def _numbers(self, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Return the outputs for one fitted image, without the batch, all finite."""
        found = {name: values[0] for name, values in self.run(pixels[np.newaxis]).items()}
        if not all(np.isfinite(values).all() for values in found.values()):
            raise BundleError(
                f"the model in {self.folder} answers with values that are no numbers",
                remedy=f"python -m edgetl.runtime check {self.folder}",
            )
        return found


def _agree(folder: Path, contract: Contract, session: Session) -> None:
    file = folder / contract.file
    remedy = "export the model again; its contract.json belongs to another file"
    size = (1, contract.input.height, contract.input.width, 3)
    if session.input.shape != size:
        raise ContractError(
            f"{file} takes {session.input.shape}, but its contract says {size}", remedy=remedy
        )
    found = {info.name: info.shape for info in session.outputs}
    for output in contract.outputs:
        if found.get(output.tensor) != output.shape:
            raise ContractError(
                f"{file} has the outputs {found}, but its contract says "
                f"'{output.tensor}' {output.shape}",
                remedy=remedy,
            )
