"""Facts of the stages that train a network, or import a trained one."""

from __future__ import annotations

from edgetl.facts import FactsModel
from edgetl.facts.scores import Difference, Score
from edgetl.types import Role, Split


class WeightsFacts(FactsModel):
    """Which of the initial weights were loaded."""

    source: str
    """``none``, ``file``, or the name of pretrained weights."""
    loaded: int
    """Tensors."""
    skipped: tuple[str, ...] = ()
    """Tensors of the file that the network has no place for."""
    initialised: tuple[str, ...] = ()
    """Tensors of the network that the file lacks."""
    backbone_share: float | None = None
    """Share of the backbone's parameters that were loaded; None if nothing was."""
    reinitialized: tuple[str, ...] = ()
    """Modules that were reinitialized because the number of classes differs."""


class PhaseFacts(FactsModel):
    """One part of a training."""

    epochs: int
    best_epoch: int
    """Whose weights were kept; 0 if those from before the phase were better."""


class TeacherOutputsFacts(FactsModel):
    """Facts of the outputs of a teacher for the views of the training images."""

    images: int
    views: int
    """Of each image."""


class FeaturesFacts(FactsModel):
    """Facts of the features stage."""

    images: dict[Split, int]
    mirrored: bool
    """Whether features of the mirrored training images were computed too."""
    weights: WeightsFacts


class ModelFacts(FactsModel):
    """Facts of the first model of a chain."""

    model: str
    """Name of the network in the recipe: ``teacher``, ``student``, ``control``, ``model``."""
    family: str
    width: float
    parameters: int
    val: Score | None
    """None if the split has no images."""
    test: Score | None


class ImportFacts(ModelFacts):
    """Facts of a network that was trained elsewhere."""

    edits: int
    """Structural edits of what its family builds."""


class TrainingFacts(ModelFacts):
    """Facts of a trained network."""

    weights: WeightsFacts
    phases: dict[str, PhaseFacts]
    """In their order."""
    method: str | None = None
    """The distillation method; None if the network was not distilled."""


class ComparisonFacts(FactsModel):
    """Facts of the compare stage: the student against its control."""

    images: int
    """Number of test images; with 0 there are no figures."""
    student: Score | None = None
    control: Score | None = None
    gain: Difference | None = None


class AdaptationFacts(FactsModel):
    """Facts of the adapt stage."""

    model: str
    """Name of the network in the recipe."""
    family: str
    method: str
    norms: int
    """Batch norms whose statistics were replaced."""
    images: int
    """Unlabelled images."""
    val: Score | None
    """On the images of `data`; None if the split has none."""
    test: Score | None


class ChainStep(FactsModel):
    """One model of a chain."""

    stage: str
    """The stage that made it: the root of the chain, or a step of the `refine` list."""
    score: Score
    gain: Difference | None
    """Over the previous model on the same images; None for the root."""
    transductive: bool
    """Whether it may have adapted to the images that it was measured on."""


class ChainFacts(FactsModel):
    """Facts of the evaluate stage: the gain of each step of a model chain."""

    model: str
    """Name of the network in the recipe."""
    role: Role
    """Of the dataset that was measured on."""
    images: int
    steps: tuple[ChainStep, ...]

    @property
    def transductive(self) -> bool:
        """Whether a step may have adapted to the images that it was measured on."""
        return any(step.transductive for step in self.steps)
