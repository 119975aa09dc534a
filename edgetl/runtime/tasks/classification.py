"""Classification: one label of several for a whole sample."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgetl.runtime.decode import softmax, top_k
from edgetl.runtime.errors import EdgetlUsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from edgetl.runtime.contract import Contract
    from edgetl.runtime.golden import Golden, ReplayRow
    from edgetl.runtime.tasks import Outputs

_LOGITS = "logits"
_PROBABILITIES = "probabilities"


@dataclass(frozen=True)
class ClassPrediction:
    """The classes of one sample."""

    label: str | None
    """None if the model is unsure: its most likely class does not reach its threshold in the
    contract."""
    index: int | None
    """Of the label; None if the model is unsure."""
    probabilities: tuple[float, ...]
    """One per class, in the order of the contract's labels; they add up to 1."""

    @property
    def unsure(self) -> bool:
        """Whether no class reaches its threshold."""
        return self.index is None

    def top(self, count: int) -> list[int]:
        """Return the indices of the `count` most likely classes, most likely first."""
        return top_k(np.asarray(self.probabilities, np.float32), count)

    def lines(self, labels: Sequence[str], top: int | None) -> list[str]:
        """Return the most likely classes in one line; see `edgetl.runtime.tasks.Prediction`."""
        best = self.top(top or 1)
        text = ", ".join(f"{labels[index]} {self.probabilities[index]:.4f}" for index in best)
        return [f"unsure ({text})" if self.unsure else text]

    def row(self, labels: Sequence[str], top: int | None) -> dict[str, object]:
        """Return the same as plain JSON; ``label`` is null if the model is unsure."""
        best = self.top(top or 1)
        rows = [{"label": labels[i], "probability": self.probabilities[i]} for i in best]
        return {"label": self.label, "top": rows}

    def draw(
        self, image: NDArray[np.uint8], labels: Sequence[str], top: int | None
    ) -> NDArray[np.uint8]:
        """Return a copy of `image` with the most likely classes in its upper left corner."""
        # Here, because Pillow's drawing takes long to import.
        from edgetl.runtime.draw import draw_label

        best = self.top(top or 1)
        lines = [f"{labels[index]} {self.probabilities[index]:.2f}" for index in best]
        return draw_label(image, "\n".join(["unsure", *lines] if self.unsure else lines))


def problems(contract: Contract) -> Iterator[tuple[str, str]]:
    """Yield what a classifier cannot use; see `edgetl.runtime.tasks.Task`."""
    if contract.nms is not None:
        yield "operating_point.nms", "is only for detectors; the model is a classifier"
    shapes = {output.kind: output.shape for output in contract.outputs}
    expected = (1, len(contract.labels))
    if len(contract.outputs) != 1 or shapes not in (
        {_LOGITS: expected},
        {_PROBABILITIES: expected},
    ):
        what = f"are {shapes}; a classifier has {_LOGITS} or {_PROBABILITIES} of shape {expected}"
        yield "outputs", what


def predict(
    outputs: Outputs, contract: Contract, image_size: tuple[int, int] | None
) -> ClassPrediction:
    """Return the classes of one sample; see `edgetl.runtime.tasks.Task`."""
    del image_size  # a class has no position in the image
    (output,) = contract.outputs
    values = outputs[output.name]
    probabilities = softmax(values) if output.kind == _LOGITS else values
    (index,) = top_k(probabilities, 1)
    every = tuple(float(value) for value in probabilities)
    thresholds = contract.class_thresholds
    if thresholds is not None and every[index] < thresholds[index]:
        return ClassPrediction(None, None, every)
    return ClassPrediction(contract.labels[index], index, every)


def with_threshold(contract: Contract, threshold: float) -> Contract:
    """Return `contract` with another threshold of all classes, if it has thresholds."""
    if contract.class_thresholds is not None:
        if not 0 <= threshold <= 1:
            raise ValueError(f"the threshold is {threshold}; must be in 0...1")
        return replace(contract, class_thresholds=(threshold,) * len(contract.labels))
    raise EdgetlUsageError(
        "the model is a classifier, which has no threshold",
        remedy="drop --threshold; --top sets how many classes are printed",
    )


def stored(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `values` unchanged, because logits take little space."""
    return values


def replay_rows(
    contract: Contract, golden: Golden, outputs: Outputs, allowed: Mapping[str, float]
) -> Iterator[ReplayRow]:
    """Yield nothing: logits within their tolerance give the same classes, except for ties."""
    del contract, golden, outputs, allowed
    return iter(())
