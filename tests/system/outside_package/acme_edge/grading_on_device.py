"""Grading on the device: a number, and the class whose place in the order is nearest to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgetl.runtime.errors import EdgetlUsageError

from ._nearest_grade import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from edgetl.runtime.contract import Contract
    from edgetl.runtime.golden import Golden, ReplayRow
    from edgetl.runtime.tasks import Outputs

FILES = ("_nearest_grade.py",)


@dataclass(frozen=True)
class Grade:
    value: float

    def lines(self, labels: Sequence[str], top: int | None) -> list[str]:
        del top
        return [f"{self.value:.2f} ({labels[nearest(self.value, len(labels))]})"]

    def row(self, labels: Sequence[str], top: int | None) -> dict[str, object]:
        del top
        return {"grade": self.value, "label": labels[nearest(self.value, len(labels))]}

    def draw(
        self, image: NDArray[np.uint8], labels: Sequence[str], top: int | None
    ) -> NDArray[np.uint8]:
        from edgetl.runtime.draw import draw_label

        return draw_label(image, self.lines(labels, top)[0])


def problems(contract: Contract) -> Iterator[tuple[str, str]]:
    shapes = {output.kind: output.shape for output in contract.outputs}
    if shapes != {"grade": (1, 1)}:
        yield "outputs", f"are {shapes}; a model that grades has one grade of shape (1, 1)"


def predict(outputs: Outputs, contract: Contract, image_size: tuple[int, int] | None) -> Grade:
    del image_size
    (output,) = contract.outputs
    return Grade(float(outputs[output.name][0]))


def with_threshold(contract: Contract, threshold: float) -> Contract:
    del contract, threshold
    raise EdgetlUsageError("the model grades, without a threshold", remedy="drop --threshold")


def stored(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values


def replay_rows(
    contract: Contract, golden: Golden, outputs: Outputs, allowed: Mapping[str, float]
) -> Iterator[ReplayRow]:
    del contract, golden, outputs, allowed
    return iter(())
