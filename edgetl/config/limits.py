"""The limits that a target sets: one entry for each, shared by run, gate and report.

An entry is a field of `Limits` whose annotation sets how it is judged and worded; `LIMITS` lists
those with one bound, `CLASS_LIMITS` those with a bound per class. A target decides whether a figure
is judged by its value alone, or by the worse end of its interval.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from edgetl.config.table import Table
from edgetl.errors import closest, first_of
from edgetl.types import MIB

_MOST_NAMED = 8


class Direction(StrEnum):
    """On which side of its limit a figure must be."""

    AT_LEAST = "at least"
    AT_MOST = "at most"


class Judge(StrEnum):
    """By what a figure with an interval is judged."""

    POINT = "point"
    """By its value; that its interval does not meet the limit is only remarked."""
    SHOWN = "shown"
    """By the worse end of its 95 % interval."""


class Source(StrEnum):
    """Where a figure comes from."""

    PREDICTIONS = "predictions"
    """For the test images."""
    FILE = "file"
    TIMING = "timing"
    """On the device; what disturbs it only makes times longer."""
    PROCESS = "process"
    """That is timed on the device."""

    @property
    def on_device(self) -> bool:
        """Whether only the device can give the figure."""
        return self in {Source.TIMING, Source.PROCESS}


@dataclass(frozen=True, slots=True)
class Figures:
    """What limits judge of one candidate."""

    title: str
    """Display name of the metric: ``top-1``."""
    accuracies: Mapping[str, float | None]
    """The metric first, then further figures of the task, by name."""
    at_chance: str | None
    """Why it is no better than guessing, in words; None if it is better."""
    no_predictions: bool
    """Whether it predicts nothing at all, which no limit makes a result."""
    drop_pp: float
    """Of the metric."""
    size_bytes: int
    p95_ms: float | None
    """None where no device measured it."""
    memory_bytes: int | None
    interfered: bool
    """Other programs disturbed the timing, which can only have made it longer."""
    end_to_end_p95_ms: float | None = None
    """None where no device measured it."""
    classes: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    """Figures of each class, by its label and their name."""
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """95 % intervals, by the name of the limit; a figure without one is exact, or not known."""

    @property
    def metric(self) -> float:
        """The value of the leading figure."""
        return next(iter(self.accuracies.values())) or 0.0


@dataclass(frozen=True, slots=True)
class Limit:
    """How one limit is judged and worded; its bound is a field of `Limits`.

    Attributes:
        case: The test case of a check that it belongs to; limits of accuracy share one.
        title: Display name of the figure.
        unit: Empty for a fraction.
        direction: On which side the figure must be.
        source: Where the figure comes from.
        figure: The figure in that unit; None where it is not known.
        unknown: Why a device reported no figure, in words.
        of_metric: Whether a miss names the metric, because the title does not.
    """

    case: str
    title: str
    unit: str
    direction: Direction
    source: Source
    figure: Callable[[Figures], float | None]
    unknown: str = ""
    of_metric: bool = False

    def excess(self, value: float, bound: float) -> float:
        """Return how far `value` is on the wrong side of `bound`; holds up to 0."""
        return bound - value if self.direction is Direction.AT_LEAST else value - bound

    def compared(self, value: float, bound: float) -> str:
        """Return figure and bound: ``2 > 1.5 ms``."""
        is_missed = self.excess(value, bound) > 0
        at_least = self.direction is Direction.AT_LEAST
        sign = ("<" if at_least else ">") if is_missed else (">=" if at_least else "<=")
        return self._with_unit(f"{value:.4g} {sign} {bound:g}")

    def miss(self, figures: Figures, value: float, bound: float) -> str:
        """Return a miss in words: ``p95 2 > 1.5 ms``."""
        text = f"{self.title} {self.compared(value, bound)}"
        return f"{text} ({figures.title})" if self.of_metric else text

    def required(self, bound: float) -> str:
        """Return the requirement in words: ``at most 3 ms``."""
        return self._with_unit(f"{self.direction} {bound:g}")

    def _with_unit(self, text: str) -> str:
        return f"{text} {self.unit}" if self.unit else text


@dataclass(frozen=True, slots=True)
class ClassLimit:
    """A limit of accuracy with a bound for each class that a target names.

    Attributes:
        figure: The figure of a class, by its name, that must reach the bound.
    """

    figure: str

    @property
    def case(self) -> str:
        """The test case of a check that it belongs to; see `Limit.case`."""
        return "accuracy"

    def of(self, label: str) -> Limit:
        """Return the limit of one class."""
        return Limit(
            case=self.case,
            title=f"{self.figure} of {label}",
            unit="",
            direction=Direction.AT_LEAST,
            source=Source.PREDICTIONS,
            figure=lambda figures: figures.classes.get(label, {}).get(self.figure),
        )


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit that a target sets."""

    name: str
    """``p95_ms``, or ``class_recall.crack`` for the class `crack`."""
    limit: Limit
    value: float

    def not_shown(self, figures: Figures) -> str:
        """Return that a figure meets the limit but its interval does not, in words, else nothing.

        For example ``drop 0.8 [0.3, 1.4] is not shown to be at most 1 pp``.
        """
        figure, interval = self.limit.figure(figures), figures.intervals.get(self.name)
        if figure is None or interval is None or self.limit.excess(figure, self.value) > 0:
            return ""
        low, high = interval
        worse = low if self.limit.direction is Direction.AT_LEAST else high
        if self.limit.excess(worse, self.value) <= 0:
            return ""
        return (
            f"{self.limit.title} {figure:.4g} [{low:.4g}, {high:.4g}] is not shown to be "
            f"{self.limit.required(self.value)}"
        )


def _accuracy(name: str, title: str) -> Limit:
    """Return a limit of accuracy, which a figure called `name` must reach; tasks list theirs."""
    return Limit(
        case="accuracy",
        title=title,
        unit="",
        direction=Direction.AT_LEAST,
        source=Source.PREDICTIONS,
        figure=lambda figures: figures.accuracies.get(name),
    )


_DROP = Limit(
    case="accuracy drop",
    title="drop",
    unit="pp",
    direction=Direction.AT_MOST,
    source=Source.PREDICTIONS,
    figure=lambda figures: figures.drop_pp,
    of_metric=True,
)
_P95 = Limit(
    case="latency",
    title="p95",
    unit="ms",
    direction=Direction.AT_MOST,
    source=Source.TIMING,
    figure=lambda figures: figures.p95_ms,
    unknown="too few times were taken for a p95",
)
_END_TO_END = Limit(
    case="end-to-end latency",
    title="end-to-end p95",
    unit="ms",
    direction=Direction.AT_MOST,
    source=Source.TIMING,
    figure=lambda figures: figures.end_to_end_p95_ms,
    unknown="too few times were taken for an end-to-end p95",
)
_SIZE = Limit(
    case="size",
    title="size",
    unit="MiB",
    direction=Direction.AT_MOST,
    source=Source.FILE,
    figure=lambda figures: figures.size_bytes / MIB,
)
_MEMORY = Limit(
    case="memory",
    title="memory",
    unit="MiB",
    direction=Direction.AT_MOST,
    source=Source.PROCESS,
    figure=lambda figures: None if figures.memory_bytes is None else figures.memory_bytes / MIB,
    unknown="the device does not report its peak memory",
)


Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Limits(Table):
    """Limits for a candidate on a target; null or false disables a limit."""

    better_than_guessing: bool = True
    """Reject a classifier that is no better than always predicting the most frequent class of the
    test split, and a detector whose detections fit other images equally well. A detector without
    any detection is always rejected."""
    top1: Annotated[float | None, _accuracy("top1", "top-1")] = Field(default=None, ge=0.0, le=1.0)
    """Lowest top-1 accuracy of a classifier on the test split, fraction."""
    map: Annotated[float | None, _accuracy("map", "mAP")] = Field(default=None, ge=0.0, le=1.0)
    """Lowest mean average precision of a detector on the test split, fraction; COCO's mean over
    IoU thresholds from .5 to .95."""
    map50: Annotated[float | None, _accuracy("map50", "mAP50")] = Field(
        default=None, ge=0.0, le=1.0
    )
    """Lowest mean average precision at an IoU threshold of .5, fraction."""
    class_recall: Annotated[dict[str, Share] | None, ClassLimit("recall")] = None
    """Lowest recall of single classes on the test split, fraction, by class: of predictions that
    reach the thresholds of the operating point, and of a detector at an IoU of .5."""
    class_precision: Annotated[dict[str, Share] | None, ClassLimit("precision")] = None
    """Lowest precision of single classes on the test split, fraction, by class; as for
    `class_recall`."""
    drop_pp: Annotated[float | None, _DROP] = Field(default=1.0, ge=0.0)
    """Largest drop against the float model, percentage points of top-1 or mAP."""
    p95_ms: Annotated[float | None, _P95] = Field(default=None, gt=0.0)
    """Largest 95th percentile of the latency of the model alone, milliseconds."""
    end_to_end_p95_ms: Annotated[float | None, _END_TO_END] = Field(default=None, gt=0.0)
    """Largest 95th percentile of the latency from the image to the prediction, milliseconds:
    decoding, preprocessing, model and postprocessing."""
    size_mib: Annotated[float | None, _SIZE] = Field(default=None, gt=0.0)
    """Largest model file, MiB."""
    memory_mib: Annotated[float | None, _MEMORY] = Field(default=None, gt=0.0)
    """Largest peak resident memory of the inference process, MiB."""

    def bound(self, name: str) -> float | None:
        """Return the bound of the limit of `LIMITS` called `name`; None if it is not set."""
        bound: float | None = getattr(self, name)
        return bound

    def is_set(self, name: str) -> bool:
        """Return whether a limit of `LIMITS` or `CLASS_LIMITS` has a bound."""
        return any(bound.name.partition(".")[0] == name for bound in self.bounds())

    def bounds(self) -> Iterator[Bound]:
        """Yield every limit that is set, those of classes after those of all."""
        for name, limit in LIMITS.items():
            bound = self.bound(name)
            if bound is not None:
                yield Bound(name, limit, bound)
        for name, of_class in CLASS_LIMITS.items():
            for label, bound in self._by_class(name).items():
                yield Bound(f"{name}.{label}", of_class.of(label), bound)

    def unknown_classes(self, classes: Sequence[str]) -> Iterator[str]:
        """Yield a sentence for each limit on a class that is none of `classes`."""
        for name in CLASS_LIMITS:
            for label in self._by_class(name):
                if label not in classes:
                    meant = _meant(label, classes)
                    yield f"limits.{name}: the model has no class '{label}'; {meant}"

    def _by_class(self, name: str) -> Mapping[str, float]:
        """Return the bounds of the limit of `CLASS_LIMITS` called `name`, by class."""
        return getattr(self, name) or {}

    def chance_problem(self, figures: Figures) -> str:
        """Return why `figures` are no better than guessing if that is refused, else nothing."""
        is_refused = self.better_than_guessing or figures.no_predictions
        return (is_refused and figures.at_chance) or ""

    def in_words(self) -> dict[str, str]:
        """Return the limits that are set, as text, by name."""
        words = (
            {"better_than_guessing": "better than guessing"} if self.better_than_guessing else {}
        )
        for bound in self.bounds():
            words[bound.name] = f"{bound.limit.title} {bound.limit.required(bound.value)}"
        return words


def _meant(label: str, classes: Sequence[str]) -> str:
    close = closest(label, classes)
    if close:
        return f"did you mean '{close}'?"
    return f"known: {first_of(classes, _MOST_NAMED)}"


LIMITS: Mapping[str, Limit] = {
    name: entry
    for name, given in Limits.model_fields.items()
    for entry in given.metadata
    if isinstance(entry, Limit)
}
"""Every limit with one bound, by its name in the target file."""

CLASS_LIMITS: Mapping[str, ClassLimit] = {
    name: entry
    for name, given in Limits.model_fields.items()
    for entry in given.metadata
    if isinstance(entry, ClassLimit)
}
"""Every limit with a bound per class, by its name in the target file."""
