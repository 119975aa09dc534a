"""The contract of an evaluation: what the answers of a model are worth, one file per task.

Raw outputs of a model become answers image by image, answers become figures. Whoever has a model's
outputs, in torch or from a file, evaluates them here, so that all figures mean the same. A plug-in
is named by its task. Letters: N images, K classes, M locations, D detections.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from edgetl.plugins import Slot
from edgetl.types import Facts, Split

if TYPE_CHECKING:  # planning must not wait for numpy
    import numpy as np
    from numpy.typing import NDArray

    from edgetl.config.recipe import NmsTable
    from edgetl.data.dataset import Dataset
    from edgetl.runtime.detections import NmsSettings

Outputs: TypeAlias = Mapping[str, "NDArray[np.float32]"]
"""What a model answers to N images, by the name of the output."""
Predictions: TypeAlias = Mapping[str, "NDArray[Any]"]
"""What is kept of the outputs of a split's images, in their order, as `np.savez` takes it."""


class Evaluation(Protocol):
    """How the answers of one task are counted."""

    @property
    def metric(self) -> str:
        """Name of the leading figure in facts and limits: ``top1``."""

    @property
    def title(self) -> str:
        """What people call it: ``top-1``."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of a model's outputs, in their order."""

    @property
    def images_per_chunk(self) -> int:
        """How many images' raw outputs fit into memory without being felt."""

    def collect(
        self,
        outputs: Outputs,
        dataset: Dataset,
        split: Split,
        start: int,
        nms: NmsSettings | None,
    ) -> Predictions:
        """Return the answers of the images `start`, `start` + 1, ... of a split.

        Args:
            outputs: Of these images, by the names in `outputs`, each of shape ``(N, ...)``.
            dataset: Where the images come from.
            split: Which part of it.
            start: Position of the first image in the split.
            nms: By which the runtime answers, if the task needs one. Its score is of no account:
                answers that are less sure are kept as well, for figures over all scores.
        """

    def join(self, parts: Sequence[Predictions]) -> Predictions:
        """Return the answers of all images from those of consecutive ones, at least one part."""

    def value(self, predictions: Predictions, dataset: Dataset, split: Split) -> float:
        """Return the metric alone, in [0, 1]."""

    def score(self, predictions: Predictions, dataset: Dataset, split: Split) -> Facts:
        """Return the metric with its 95 % interval and what belongs to it.

        Returns:
            ``metric``, ``title``, ``value``, ``low``, ``high``, ``images``; figures of the task.
        """

    def difference(
        self, first: Predictions, second: Predictions, dataset: Dataset, split: Split
    ) -> Facts:
        """Return how much better `first` is than `second` on the same images.

        Returns:
            ``pp``, ``low_pp``, ``high_pp``: points of the metric with their 95 % interval, which
            covers the choice of images, not what another seed of the training would have changed.
        """

    def details(self, predictions: Predictions, dataset: Dataset, split: Split) -> Facts:
        """Return figures per class as ``classes``, and tables or curves that only a file keeps."""

    def compare(self, before: Outputs, after: Outputs, nms: NmsSettings | None = None) -> Facts:
        """Return how far `after` is from `before`: one step from a model to a file made of it.

        Args:
            before: Outputs for some images.
            after: Outputs for the same images.
            nms: Of the contract, if it has one.

        Returns:
            ``max_error``, ``snr_db``, ``agreement``, rounded to what other machines repeat.
        """

    def span(self, outputs: Outputs) -> float:
        """Return what an error of the outputs is measured against, above zero."""

    def nms(self, dataset: Dataset, wanted: NmsTable | None = None) -> NmsSettings | None:
        """Return the rule by which outputs become answers; None if the task needs none.

        Args:
            dataset: Says what a recipe leaves open; its test images are not looked at.
            wanted: By the recipe; None for what is usual, which is what trainings are measured by.
        """

    def with_selected_threshold(
        self, nms: NmsSettings | None, predictions: Predictions, dataset: Dataset, split: Split
    ) -> NmsSettings | None:
        """Return `nms` with the score that suits a model best.

        Args:
            nms: By which `predictions` were collected.
            predictions: Of the model for images that are not tested on.
            dataset: Where the images come from.
            split: Which part of it.
        """

    def truncated(self, dataset: Dataset, split: Split, nms: NmsSettings | None) -> str | None:
        """Return in words what `nms` keeps from being answered on a split; None if nothing."""

    def num_predictions(self, predictions: Predictions, nms: NmsSettings | None) -> int:
        """Return how many of the answers a runtime gives that goes by `nms`."""

    def at_chance(
        self,
        predictions: Predictions,
        dataset: Dataset,
        split: Split,
        nms: NmsSettings | None = None,
    ) -> str | None:
        """Return in words why the answers are no better than guessing; None if they are better.

        Args:
            predictions: Of all images of the split.
            dataset: Where the images come from.
            split: Which part of it.
            nms: Of the contract, if there is one; what it leaves out is no answer.
        """

    def worst_errors(
        self, predictions: Predictions, dataset: Dataset, split: Split, nms: NmsSettings | None
    ) -> NDArray[np.uint8] | None:
        """Return a picture of the images that were answered worst, RGB; None if none was wrong."""


EVALUATIONS: Slot[Evaluation] = Slot("edgetl.evaluation", "EVALUATION", "evaluation")
