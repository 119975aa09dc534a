"""Facts of the verify stage."""

from __future__ import annotations

from edgetl.config.candidate import ModelFile
from edgetl.facts import FactsModel
from edgetl.facts.operating_point import OperatingFigures
from edgetl.facts.scores import Agreement, Difference, Score
from edgetl.types import Facts, Precision


class ClassFigures(FactsModel):
    """One class on the test split."""

    label: str
    support: int
    """Images or objects of the class."""
    figures: dict[str, float | None]
    """Figures of the task per class, by name; None if there was nothing to measure."""

    @classmethod
    def of_details(cls, details: Facts) -> tuple[ClassFigures, ...]:
        """Return the classes that `Evaluation.details` lists, in the order of the outputs."""
        return tuple(
            cls(
                label=row["label"],
                support=row["support"],
                figures={key: row[key] for key in row if key not in {"label", "support"}},
            )
            for row in details["classes"]
        )


def at_thresholds(
    classes: tuple[ClassFigures, ...], operating: OperatingFigures | None
) -> tuple[ClassFigures, ...]:
    """Return `classes` with recall and precision as in `operating`; unchanged if that is None."""
    if operating is None:
        return classes
    return tuple(
        row.model_copy(
            update={
                "support": counts.support,
                "figures": {
                    **row.figures,
                    "recall": counts.recall and counts.recall.value,
                    "precision": counts.precision and counts.precision.value,
                },
            }
        )
        for row, counts in zip(classes, operating.classes, strict=True)
    )


class Drop(Difference):
    """Drop of a file against a trained model, percentage points of the metric."""

    against: str
    """Name of the trained model in the recipe."""
    value: float
    """The trained model's metric, with the same non-maximum suppression."""


class LadderStep(Agreement):
    """One step from the trained model to the file."""

    step: str
    images: int
    lowest_snr_db: float
    """Below this the step is broken."""
    holds: bool


class VerificationFacts(Score):
    """Accuracy of a model file with the shipped runtime, and its parity with torch."""

    model: str
    """Name of the network in the recipe."""
    format: str
    precision: Precision
    engine: str
    """Package and version."""
    num_predictions: int
    """0 for a detector without detections; a classifier always predicts."""
    at_chance: str | None
    """Why the predictions are no better than guessing, in words; None if they are better."""
    truncated: str | None
    """Objects beyond `nms.max_detections`, in words; None if there are none."""
    drop: Drop
    """Against the model that was exported."""
    teacher_drop: Drop
    """Against the teacher; the same as `drop` of a model that learned from none."""
    ladder: tuple[LadderStep, ...]
    breaks_at: str | None
    """The first step of the ladder that does not hold."""
    classes: tuple[ClassFigures, ...]
    """In the order of the model's outputs."""
    operating: OperatingFigures | None = None
    """At the thresholds of its operating point; a detector always has thresholds. None if every
    prediction counts."""
    worst_errors: str | None
    """Name of the picture of the worst errors; None if there is none."""
    size_bytes: int

    @property
    def judged_classes(self) -> tuple[ClassFigures, ...]:
        """The figures of classes that limits judge: at their thresholds, where there are any."""
        return at_thresholds(self.classes, self.operating)

    @property
    def file(self) -> ModelFile:
        """The model file that was verified."""
        return ModelFile(self.model, self.format, self.precision)
