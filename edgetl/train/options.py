"""What a training can be told. Imports no framework: recipes and plans are checked with these.

Fields that only one task reads, or whose default depends on the task, are None where the recipe is
silent; `edgetl.train.tasks` fills them in, or refuses them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from edgetl.config.table import Table

NO_WEIGHTS = "none"


class NetworkSettings(Table):
    """A network and the weights it starts from."""

    family: str
    width: float
    weights: str
    """A name that the family publishes, `none`, or the SHA-256 of a file."""
    weights_file: str = Field(default="", exclude=True)
    """Where the file with that digest is; says nothing about the result, so it is in no key."""
    seed: int
    """Of what starts at random."""


class TrainingTable(Table):
    """The fields that every recipe table of a training has."""

    epochs: int = Field(default=12, ge=1, le=10_000)
    """Passes over the training images through the whole network."""
    batch_size: int | None = Field(default=None, ge=2, le=4096)
    """Images per step; batch normalisation needs at least two. Left out, 32, for detection 8."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """`sgd` has Nesterov momentum 0.9."""
    lr: float | None = Field(default=None, gt=0.0)
    """Highest learning rate; left out, one that suits task, optimizer and strategy."""
    weight_decay: float | None = Field(default=None, ge=0.0)
    """Of weights, not of biases and norms; left out, 0.05 for `adamw` and 0.0001 for `sgd`."""
    warmup_epochs: float = Field(default=0.5, ge=0.0)
    """Linear rise of the learning rate before its cosine fall; less than `epochs`."""
    clip_norm: float | None = Field(default=None, gt=0.0)
    """Norm that longer gradients of a step are scaled down to; left out, 10 for detection, none for
    classification."""
    ema: float | None = Field(default=0.999, gt=0.0, lt=1.0)
    """Decay of the running average of the weights, which is the model; null keeps the weights."""
    label_smoothing: float | None = Field(default=None, ge=0.0, lt=1.0)
    """Share of every label that is spread over all classes; left out, 0.1. Classification only."""
    class_weights: Literal["none", "balanced"] | None = None
    """`balanced` makes every class pull alike, however many images it has; left out, `none`.
    Classification only."""
    augment: Literal["none", "flip", "light", "strong"] = "light"
    """How much images vary from epoch to epoch: mirrored; also cut or scaled and recoloured; and
    more so."""
    views: int | None = Field(default=None, ge=1, le=10_000)
    """Different views of an image to train on, shown in turn; null: a new one in every epoch. Of a
    classifier the teacher's outputs for them are computed once, for all that learn from it."""
    mosaic: float | None = Field(default=None, ge=0.0, le=1.0)
    """Probability that four images share the input; left out, 0.5 for `strong`, else 0. Detection
    only."""
    mixup: float | None = Field(default=None, ge=0.0, le=1.0)
    """Probability that a second image shines through; left out, 0. Detection only."""
    no_aug_epochs: int | None = Field(default=None, ge=0)
    """Last epochs without mosaic and mixup, and with the plain distance of the boxes in the loss;
    left out, a fifth of `epochs`. Detection only."""
    multi_scale: bool | None = None
    """Train at sizes up to two steps of 32 pixels below and above the input's; left out, false.
    Detection only."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after so many epochs without a better validation result; null never stops early."""
    mixed_precision: bool = True
    """On a GPU, compute in 16 bits where that is safe; a CPU always computes in 32."""

    @model_validator(mode="after")
    def _fits_into_the_epochs(self) -> TrainingTable:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs is {self.warmup_epochs:g}; must be less than epochs ({self.epochs})"
            )
        if self.no_aug_epochs is not None and self.no_aug_epochs > self.epochs:
            raise ValueError(
                f"no_aug_epochs is {self.no_aug_epochs}; must not be more than epochs "
                f"({self.epochs})"
            )
        return self


class FinetuneTable(TrainingTable):
    """How the teacher learns what is labelled on the images."""

    strategy: Literal["linear-probe", "full", "probe-then-full"] | None = None
    """Train the head with the rest frozen, the whole network, or one after the other. Left out,
    `probe-then-full`, for detection `full`."""
    epochs: int = Field(default=12, ge=1, le=10_000)
    """Passes over the training images through the whole network; not read by `linear-probe`."""
    probe_epochs: int | None = Field(default=None, ge=1, le=100_000)
    """Passes that train the head alone, over cached features (left out, 60) or, for detection,
    over the images (left out, 3); not read by `full`."""
    probe_lr: float | None = Field(default=None, gt=0.0)
    """Highest learning rate of the probe, which always uses `adamw`; left out, 0.001. Not read by
    `full`."""


class DistillTable(TrainingTable):
    """How the student learns from its teacher."""

    method: Literal["dkd", "soft-targets", "pkd", "cwd"] | None = None
    """Classification: `dkd`, decoupled distillation (Zhao et al. 2022), or `soft-targets` (Hinton
    et al. 2015). Detection: soft answers with the maps of the neck imitated by `pkd` (Cao et al.
    2022) or `cwd` (Shu et al. 2021). Left out, `dkd` and `pkd`."""
    epochs: int = Field(default=30, ge=1, le=10_000)
    """Passes over the training images."""
    temperature: float | None = Field(default=None, gt=0.0)
    """Softens what both answer, and the maps of `cwd`; 1 leaves it as it is. Left out, 4, for
    detection 1."""
    label_weight: float = Field(default=1.0, ge=0.0)
    """Weight of the loss on labels, beside that on the teacher's answers."""
    soft_weight: float = Field(default=1.0, ge=0.0)
    """Weight of the teacher's classes, for detection with objectness; not read by `dkd`."""
    alpha: float = Field(default=1.0, ge=0.0)
    """Weight of the target class against all others; only read by `dkd`."""
    beta: float = Field(default=2.0, ge=0.0)
    """Weight of the other classes among themselves; only read by `dkd`."""
    box_weight: float = Field(default=1.0, ge=0.0)
    """Weight of the teacher's boxes where it is confident; only read for detection."""
    feature_weight: float = Field(default=1.0, ge=0.0)
    """Weight of the imitated maps; only read for detection."""
    control: bool = True
    """Also train the same student on labels alone, to see what the teacher was good for."""


class DistillLoss(Table):
    """What a student makes small; fields that its method does not read are zero."""

    method: Literal["dkd", "soft-targets", "pkd", "cwd", "labels"]
    temperature: float = 0.0
    label_weight: float = 1.0
    soft_weight: float = 0.0
    alpha: float = 0.0
    beta: float = 0.0
    box_weight: float = 0.0
    feature_weight: float = 0.0


class Training(Table):
    """Everything that the result of one training depends on, apart from network, data and loss.

    Fields are those of `TrainingTable` with nothing left open. The number of threads
    (`torch.get_num_threads()`) and the kind of processor are missing on purpose: they change the
    order of sums and so the last bits of the weights, but not what was asked for. On one machine
    with one number of threads the same settings give the same bytes.
    """

    epochs: int
    batch_size: int
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float = Field(gt=0.0)
    weight_decay: float = Field(ge=0.0)
    warmup_epochs: float = 0.5
    clip_norm: float | None = None
    ema: float | None = 0.999
    label_smoothing: float = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    augment: Literal["none", "flip", "light", "strong"] = "light"
    views: int | None = None
    mosaic: float = 0.0
    mixup: float = 0.0
    no_aug_epochs: int = 0
    multi_scale: bool = False
    patience: int | None = None
    mixed_precision: bool = True
    seed: int
    """Of the order of images, augmentation and dropout."""
    best_by: Literal["metric", "loss"] = "metric"
    """Which figure on the validation images chooses the best epoch; the other one breaks ties."""


WEIGHT_DECAY = {"adamw": 0.05, "sgd": 1e-4}
"""For recipes that give none, by optimizer."""

_SHARED = (
    "epochs",
    "optimizer",
    "warmup_epochs",
    "ema",
    "augment",
    "views",
    "patience",
    "mixed_precision",
)


def resolve(table: TrainingTable, defaults: Mapping[str, object], *, seed: int) -> Training:
    """Return `table` with nothing left open.

    Args:
        table: What the recipe says.
        defaults: For every other field that the task reads, what stands where the recipe is silent.
        seed: Of the recipe.
    """
    shared = {name: getattr(table, name) for name in _SHARED}
    return Training.model_validate({**shared, **filled_in(table, defaults), "seed": seed})


def filled_in(table: Table, defaults: Mapping[str, object]) -> dict[str, object]:
    """Return the fields of `table` that `defaults` names; None there means the default."""
    given = {name: getattr(table, name) for name in defaults}
    return {name: given[name] if given[name] is not None else defaults[name] for name in defaults}
