"""Facts of the stages that train a network, or import a trained one."""

from __future__ import annotations

from edgetl.facts import FactsModel
from edgetl.facts.scores import Difference, Score
from edgetl.types import Role, Split


class WeightsFacts(FactsModel):
    """What became of the weights that a network starts from."""

    source: str
    """``none``, ``file``, or the name of published weights."""
    loaded: int
    """Tensors."""
    skipped: tuple[str, ...] = ()
    """Tensors of the file that the network has no place for."""
    initialised: tuple[str, ...] = ()
    """Tensors of the network that the file lacks."""
    backbone_share: float | None = None
    """Share of the backbone's parameters that were loaded; None if nothing was."""
    reinitialized: tuple[str, ...] = ()
    """Modules that start at random because they are made for other classes."""


class PhaseFacts(FactsModel):
    """One part of a training."""

    epochs: int
    best_epoch: int
    """Whose weights were kept; 0 where those from before the phase were better."""


class TeacherOutputsFacts(FactsModel):
    """Facts of the outputs of a teacher for the views of the training images."""

    images: int
    views: int
    """Of each image."""


class FeaturesFacts(FactsModel):
    """Facts of the features stage."""

    images: dict[Split, int]
    mirrored: bool
    """Whether the training images were also computed left to right."""
    weights: WeightsFacts


class ModelFacts(FactsModel):
    """Facts of the first model of a chain."""

    model: str
    """Name of the network in the recipe: ``teacher``, ``student``, ``control``, ``model``."""
    family: str
    width: float
    parameters: int
    val: Score | None
    """None where the split has no images."""
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
    """The distillation method; None of a network that was not distilled."""


class ComparisonFacts(FactsModel):
    """Facts of the compare stage: the student against its control."""

    images: int
    """Test images; without any there are no figures."""
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
    """On the images of `data`; None where the split has none."""
    test: Score | None


class ChainStep(FactsModel):
    """One model of a chain."""

    stage: str
    """That made it: the root of the chain, then the steps of the `refine` list."""
    score: Score
    gain: Difference | None
    """Over the model before it on the same images; None of the root."""
    transductive: bool
    """Whether it may have adapted to the very images that it was measured on."""


class ChainFacts(FactsModel):
    """Facts of the evaluate stage: what each step of a model chain brings."""

    model: str
    """Name of the network in the recipe."""
    role: Role
    """Of the dataset that was measured on."""
    images: int
    steps: tuple[ChainStep, ...]

    @property
    def transductive(self) -> bool:
        """Whether a step may have adapted to the very images that it was measured on."""
        return any(step.transductive for step in self.steps)
