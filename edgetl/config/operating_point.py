"""The recipe's `operating_point`: which precision or recall of classes the thresholds are for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from edgetl.config.table import Table
from edgetl.errors import closest, first_of

Figure = Literal["precision", "recall"]
Stated = Annotated[float, Field(gt=0.0, le=1.0)]

_MOST_NAMED = 8


@dataclass(frozen=True, slots=True)
class Goal:
    """What a class must reach on the validation split."""

    figure: Figure
    value: float
    """In (0, 1]."""


class OperatingPointTable(Table):
    """Thresholds of classes, chosen on the validation split for a stated precision or recall.

    Predictions below the threshold of their class do not count: a classifier is unsure.
    """

    precision: Stated | dict[str, Stated] | None = None
    """Least share of correct predictions among those of a class: a number for every class that
    `recall` does not name, or numbers by class. The lowest threshold that reaches it is used."""
    recall: Stated | dict[str, Stated] | None = None
    """Least share of a class that is predicted: a number for every class that `precision` does not
    name, or numbers by class. The highest threshold that reaches it is used."""

    @model_validator(mode="after")
    def _one_goal(self) -> Self:
        precision, recall = self.precision, self.recall
        if isinstance(precision, float) and isinstance(recall, float):
            raise ValueError(  # noqa: TRY004 - pydantic reports no TypeError
                "states both precision and recall of every class; one threshold can be chosen for "
                "one of them: give numbers by class, or remove one"
            )
        if isinstance(precision, dict) and isinstance(recall, dict):
            both = sorted(set(precision) & set(recall))
            if both:
                raise ValueError(
                    f"states both precision and recall of '{both[0]}'; one threshold can be chosen "
                    "for one of them: remove one"
                )
        return self

    @property
    def is_set(self) -> bool:
        """Whether anything is stated."""
        return bool(self.precision or self.recall)

    def goal(self, label: str) -> Goal | None:
        """Return the goal of a class; None if nothing is stated for it."""
        stated: Mapping[Figure, float | dict[str, float] | None] = {
            "precision": self.precision, "recall": self.recall
        }  # fmt: skip
        for figure, given in stated.items():
            if isinstance(given, dict) and label in given:
                return Goal(figure, given[label])
        for figure, given in stated.items():
            if isinstance(given, float):
                return Goal(figure, given)
        return None

    def unknown_classes(self, classes: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Yield the key and a sentence for each class that is none of `classes`."""
        for figure, given in (("precision", self.precision), ("recall", self.recall)):
            for label in given if isinstance(given, dict) else ():
                if label not in classes:
                    close = closest(label, classes)
                    meant = f"did you mean '{close}'?" if close else ""
                    known = meant or f"known: {first_of(classes, _MOST_NAMED)}"
                    yield f"{figure}.{label}", f"the data have no class '{label}'; {known}"
