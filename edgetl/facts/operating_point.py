"""Facts of operating points: thresholds chosen on the validation split, and figures at them."""

from __future__ import annotations

from collections.abc import Iterator

from edgetl.config.operating_point import Figure
from edgetl.facts import FactsModel
from edgetl.types import Precision


class ShareFacts(FactsModel):
    """A share of correct predictions, with its 95 % interval."""

    count: int
    total: int
    value: float
    low: float
    high: float


class ClassThreshold(FactsModel):
    """The threshold of one class, and what it reaches on the validation split."""

    label: str
    threshold: float | None
    """Lowest score of a prediction; None if none reaches what is stated."""
    figure: Figure | None = None
    """What is stated; None if nothing is, so that the default threshold stays."""
    stated: float | None = None
    reached: ShareFacts | None = None
    """At the threshold, or the best of any; None if nothing was stated or there was nothing to
    measure."""

    @property
    def shortfall(self) -> float:
        """How far the best threshold is from what is stated; 0 if it is reached."""
        if self.threshold is not None or self.stated is None:
            return 0.0
        return self.stated - (self.reached.value if self.reached else 0.0)

    @property
    def is_shown(self) -> bool:
        """Whether the lower end of the interval reaches what is stated."""
        return self.stated is None or (self.reached is not None and self.reached.low >= self.stated)


class OperatingPointFacts(FactsModel):
    """Facts of the operating point of one model file."""

    model: str
    """Name of the network in the recipe."""
    format: str
    precision: Precision
    images: int
    """Of the validation split."""
    unit: str
    """What a prediction is made for: ``image`` or ``object``."""
    classes: tuple[ClassThreshold, ...]
    """In the order of the model's outputs."""

    @property
    def thresholds(self) -> tuple[float, ...] | None:
        """The threshold of every class; None if what is stated for one cannot be reached."""
        known = [row.threshold for row in self.classes if row.threshold is not None]
        return tuple(known) if len(known) == len(self.classes) else None

    @property
    def shortfall(self) -> float:
        """The largest of any class; 0 if all reach what is stated."""
        return max(row.shortfall for row in self.classes)

    def unreached(self) -> Iterator[str]:
        """Yield a sentence with its remedy for each class without a threshold."""
        for row in self.classes:
            if row.threshold is None:
                yield self._unreached(row)

    def not_shown(self) -> list[ClassThreshold]:
        """Return the classes that reach what is stated on too few images to show it."""
        return [row for row in self.classes if row.threshold is not None and not row.is_shown]

    def _unreached(self, row: ClassThreshold) -> str:
        stated = f"the {row.figure} of {row.stated:g} stated for '{row.label}'"
        if row.reached is None:
            nothing, remedy = (
                (f"nothing in the validation split is predicted as '{row.label}'", "train longer")
                if row.figure == "precision"
                else (f"the validation split does not show '{row.label}'", "add images of it")
            )
            return (
                f"{nothing}, so no threshold reaches {stated}; {remedy}, or remove it from "
                "`operating_point`"
            )
        best = row.reached
        among = "predictions" if row.figure == "precision" else f"{self.unit}s"
        return (
            f"no threshold reaches {stated}: the best on the validation split is {best.value:.3f} "
            f"({best.count} of {best.total} {among}); lower it in `operating_point`"
        )


class ClassCounts(FactsModel):
    """One class on the test split, with predictions that reach their threshold."""

    label: str
    support: int
    """Images or objects of the class."""
    predicted: int
    right: int
    recall: ShareFacts | None
    """None without images or objects of the class."""
    precision: ShareFacts | None
    """None without predictions of the class."""


class OperatingFigures(FactsModel):
    """What a model file reports on the test split at its thresholds."""

    classes: tuple[ClassCounts, ...]
    """In the order of the model's outputs."""
    decided: ShareFacts | None
    """Images with a prediction that reaches its threshold; None if images may show nothing, as for
    a detector."""
