"""The options of trainings. Imports no framework: recipes and plans are checked with these.

Options that only one task reads are in `edgetl.tasks`, those of one method are in its file. Fields
whose default depends on the task are None if the recipe gives no value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeVar

from pydantic import Field, model_validator

from edgetl.config.table import Table

NO_WEIGHTS = "none"
WEIGHTS_SUFFIXES = (".pth", ".pt", ".ckpt", ".pth.tar", ".bin", ".safetensors")
"""Of the weights files that are read, in lower case."""


class NetworkSettings(Table):
    """A network and the weights it starts from."""

    family: str
    width: float
    weights: str
    """Name of pretrained weights, `none`, or the SHA-256 of a file."""
    weights_file: str = Field(default="", exclude=True)
    """Path of the file with that digest; the result does not depend on it, so it is in no key."""
    seed: int
    """Of the weights that are initialised at random."""


class TrainingTable(Table):
    """The fields that all recipe tables of trainings share."""

    epochs: int = Field(default=12, ge=1, le=10_000)
    """Passes over the training images through the whole network."""
    batch_size: int | None = Field(default=None, ge=2, le=4096)
    """Images per step; batch normalisation needs at least two. Default: 32, for detection 8."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """`sgd` has Nesterov momentum 0.9."""
    lr: float | None = Field(default=None, gt=0.0)
    """Peak learning rate. The default depends on task, optimizer and strategy."""
    weight_decay: float | None = Field(default=None, ge=0.0)
    """Of weights, not of biases and norms. Default: 0.05 for `adamw`, 0.0001 for `sgd`."""
    warmup_epochs: float = Field(default=0.5, ge=0.0)
    """Linear warm-up of the learning rate before the cosine decay; less than `epochs`."""
    clip_norm: float | None = Field(default=None, gt=0.0)
    """Clip the norm of a step's gradients to this value. Default: 10 for detection, none for
    classification."""
    ema: float | None = Field(default=0.999, gt=0.0, lt=1.0)
    """Decay of the running average of the weights, which becomes the model; null disables it."""
    augment: Literal["none", "flip", "light", "strong"] = "light"
    """Augmentation: `flip` mirrors images, `light` also crops or scales and recolours them, and
    `strong` does so more."""
    views: int | None = Field(default=None, ge=1, le=10_000)
    """Number of augmented views per image, shown in turn; null: a new one in every epoch. The
    outputs of a classifying teacher for them are computed once, for all that learn from it."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after this many epochs without a better validation result; null never stops early."""
    mixed_precision: bool = True
    """On a GPU, compute in 16 bits where it is safe; a CPU always computes in 32."""

    @model_validator(mode="after")
    def _warmup_fits(self) -> TrainingTable:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs is {self.warmup_epochs:g}; must be less than epochs ({self.epochs})"
            )
        return self


class FinetuneTable(TrainingTable):
    """How the teacher is trained on the labelled images; tasks and strategies add keys."""

    strategy: str
    """Which parts of the network are trained, and in which order: file name in
    `edgetl/train/strategies/` with hyphens."""


class DistillTable(TrainingTable):
    """How the student is trained with its teacher; tasks and methods add keys."""

    method: str
    """How the student learns from its teacher: file name in `edgetl/train/distillation/` with
    hyphens."""
    epochs: int = Field(default=30, ge=1, le=10_000)
    """Passes over the training images."""
    label_weight: float = Field(default=1.0, ge=0.0)
    """Weight of the loss on labels, next to the loss on the teacher's outputs."""
    control: bool = True
    """Also train the same student on labels alone, to measure the gain from the teacher."""


class Training(Table):
    """Everything that the result of one training depends on, apart from network, data and loss.

    Fields are those of `TrainingTable` with every default resolved; tasks add theirs. The number of
    threads (`torch.get_num_threads()`) and the kind of processor are omitted on purpose: they
    change the order of sums and thus the last bits of the weights, but not the settings. On one
    machine with one number of threads the same settings give the same bytes.
    """

    epochs: int
    batch_size: int
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float = Field(gt=0.0)
    weight_decay: float = Field(ge=0.0)
    warmup_epochs: float = 0.5
    clip_norm: float | None = None
    ema: float | None = 0.999
    augment: Literal["none", "flip", "light", "strong"] = "light"
    views: int | None = None
    patience: int | None = None
    mixed_precision: bool = True
    seed: int
    """Of the order of images, augmentation and dropout."""
    best_by: Literal["metric", "loss"] = "metric"
    """The validation figure that selects the best epoch; the other one breaks ties."""


TrainingT = TypeVar("TrainingT", bound=Training)

WEIGHT_DECAY = {"adamw": 0.05, "sgd": 1e-4}
"""Defaults by optimizer."""


def resolve(
    kind: type[TrainingT], table: TrainingTable, defaults: Mapping[str, object], *, seed: int
) -> TrainingT:
    """Return `table` with every default resolved.

    Args:
        kind: The training of the task.
        table: From the recipe; has the fields of `kind`, apart from `seed` and `best_by`.
        defaults: Values of fields that are None in `table`.
        seed: Of the recipe.
    """
    fields = {
        name: getattr(table, name) for name in kind.model_fields if name in type(table).model_fields
    }
    open_fields = {name: value for name, value in defaults.items() if fields[name] is None}
    return kind.model_validate({**fields, **open_fields, "seed": seed})
