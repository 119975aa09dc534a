"""The contract of an evaluation: metrics of a model's predictions, and statistics tasks share.

Raw outputs become predictions image by image, predictions become metrics. Outputs from torch and
from files are evaluated by the same code, so all figures are comparable. Letters: N images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from edgetl.facts.scores import Agreement, Difference, Score
from edgetl.types import Facts, Precision, Split

if TYPE_CHECKING:  # planning must not wait for numpy
    import numpy as np
    from numpy.typing import NDArray

    from edgetl.config.recipe import NmsTable
    from edgetl.data.dataset import Dataset
    from edgetl.evaluation.operating import Ranking
    from edgetl.runtime.detections import NmsSettings

Outputs: TypeAlias = Mapping[str, "NDArray[np.float32]"]
"""A model's outputs for N images, by output name."""
Inputs: TypeAlias = Mapping[str, "NDArray[Any]"]
"""A model's inputs for N samples, by the names of its contract, each ``(N, ...)``."""
Predictions: TypeAlias = Mapping[str, "NDArray[Any]"]
"""Predictions for the images of a split, in order, as arrays for `np.savez`."""

IMAGE = "image"
"""Name of the input in the contracts of models that take one image."""


def image_inputs(dataset: Dataset, split: Split, rows: slice) -> Inputs:
    """Return `Evaluation.inputs` of tasks whose models take one image."""
    return {IMAGE: dataset.images(split)[rows]}


class Evaluation(Protocol):
    """Metrics of one task."""

    @property
    def metric(self) -> str:
        """Name of the main metric in facts and limits: ``top1``."""

    @property
    def title(self) -> str:
        """Display name of the metric: ``top-1``."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of a model's outputs, in order."""

    @property
    def images_per_chunk(self) -> int:
        """Number of images whose raw outputs take little memory."""

    @property
    def lowest_snr_db(self) -> Mapping[Precision, float]:
        """Signal-to-noise ratio below which a step of the parity ladder is broken, dB.

        By the precision that the step leads to.
        """

    def inputs(self, dataset: Dataset, split: Split, rows: slice) -> Inputs:
        """Return a model's inputs for some samples of a split, before any normalisation.

        The same for torch models, files and devices.

        Args:
            dataset: As the model sees it.
            split: The split of the samples.
            rows: Their positions in the split.

        Returns:
            Arrays of the shapes and dtypes that `edgetl.runtime.inputs` describes, in the order of
            the network's arguments.
        """

    def collect(
        self,
        outputs: Outputs,
        dataset: Dataset,
        split: Split,
        start: int,
        nms: NmsSettings | None,
    ) -> Predictions:
        """Return the predictions for the images `start`, `start` + 1, ... of a split.

        Args:
            outputs: Raw outputs for these images, by the names in `outputs`, shapes ``(N, ...)``.
            dataset: The dataset with the images.
            split: The split of the images.
            start: Position of the first image in the split.
            nms: The runtime's settings, if the task needs them. The score threshold is ignored:
                predictions below it are kept as well, for metrics over all scores.
        """

    def join(self, parts: Sequence[Predictions]) -> Predictions:
        """Return the predictions for all images from those of consecutive parts, at least one."""

    def value(self, predictions: Predictions, dataset: Dataset, split: Split) -> float:
        """Return the metric alone, in [0, 1]."""

    def score(self, predictions: Predictions, dataset: Dataset, split: Split) -> Score:
        """Return the metric with its 95 % interval and related figures of the task."""

    def difference(
        self, first: Predictions, second: Predictions, dataset: Dataset, split: Split
    ) -> Difference:
        """Return the paired difference of `first` and `second` on the same images.

        The interval covers the sampling of images, not the variation between training seeds.
        """

    def details(self, predictions: Predictions, dataset: Dataset, split: Split) -> Facts:
        """Return figures per class as ``classes``, and tables or curves to store in a file."""

    def ranking(self, predictions: Predictions, dataset: Dataset, split: Split) -> Ranking | None:
        """Return the predictions of each class by score, for thresholds; None without classes.

        A task whose `TaskPlugin.limits` contain ``class_recall`` returns one.
        """

    def reported(self, predictions: Predictions, thresholds: Sequence[float]) -> Predictions:
        """Return the predictions that a runtime with `thresholds` reports.

        All of them where it still reports something for every image: an unsure classifier does.

        Args:
            predictions: Predictions for all images of a split.
            thresholds: Lowest score, by class.
        """

    def compare(self, before: Outputs, after: Outputs, nms: NmsSettings | None = None) -> Agreement:
        """Return how far `after` is from `before`: one step of the parity ladder.

        Args:
            before: Outputs for some images.
            after: Outputs for the same images.
            nms: Settings of the contract, if any.

        Returns:
            Figures rounded to digits that other machines repeat.
        """

    def shown(self, dataset: Dataset, split: Split) -> NDArray[np.bool_]:
        """Return which images of a split show anything to predict, shape `(N,)`."""

    def span(self, outputs: Outputs) -> float:
        """Return the scale of the outputs, above zero, for relative errors."""

    def nms(self, dataset: Dataset, wanted: NmsTable | None = None) -> NmsSettings | None:
        """Return the settings for non-maximum suppression; None if the task needs none.

        Args:
            dataset: Provides values missing in the recipe; its test images are not used.
            wanted: The recipe's table; None for the defaults, which evaluate trainings.
        """

    def with_selected_threshold(
        self, nms: NmsSettings | None, predictions: Predictions, dataset: Dataset, split: Split
    ) -> NmsSettings | None:
        """Return `nms` with the best score threshold for a model.

        Args:
            nms: Settings with which `predictions` were collected.
            predictions: The model's predictions for images outside the test split.
            dataset: The dataset with the images.
            split: The split of the images.
        """

    def truncated(self, dataset: Dataset, split: Split, nms: NmsSettings | None) -> str | None:
        """Return a message if `nms` cuts off objects of a split; None if it does not."""

    def num_predictions(self, predictions: Predictions, nms: NmsSettings | None) -> int:
        """Return the number of predictions that a runtime with `nms` reports."""

    def at_chance(
        self,
        predictions: Predictions,
        dataset: Dataset,
        split: Split,
        nms: NmsSettings | None = None,
    ) -> str | None:
        """Return a message if the predictions are no better than guessing; None if they are better.

        Args:
            predictions: Predictions for all images of the split.
            dataset: The dataset with the images.
            split: The split of the images.
            nms: Settings of the contract, if any; predictions below its threshold do not count.
        """

    def worst_errors(
        self, predictions: Predictions, dataset: Dataset, split: Split, nms: NmsSettings | None
    ) -> NDArray[np.uint8] | None:
        """Return an RGB grid of the images with the worst errors; None without errors."""
