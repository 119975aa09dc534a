"""The options of trainings. Imports no framework: recipes and plans are checked with these.

What only one task reads is in `edgetl.tasks`, what only one method reads beside the method.
Fields whose default depends on the task are None where the recipe gives no value.
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
    """Name of published weights, `none`, or the SHA-256 of a file."""
    weights_file: str = Field(default="", exclude=True)
    """Path of the file with that digest; the result does not depend on it, so it is in no key."""
    seed: int
    """Of the weights that start at random."""


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
    augment: Literal["none", "flip", "light", "strong"] = "light"
    """How much images vary from epoch to epoch: mirrored; also cut or scaled and recoloured; and
    more so."""
    views: int | None = Field(default=None, ge=1, le=10_000)
    """Different views of an image to train on, shown in turn; null: a new one in every epoch. Of a
    classifier the teacher's outputs for them are computed once, for all that learn from it."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after so many epochs without a better validation result; null never stops early."""
    mixed_precision: bool = True
    """On a GPU, compute in 16 bits where that is safe; a CPU always computes in 32."""

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
    """How the student follows its teacher: file name in `edgetl/train/distillation/` with
    hyphens."""
    epochs: int = Field(default=30, ge=1, le=10_000)
    """Passes over the training images."""
    label_weight: float = Field(default=1.0, ge=0.0)
    """Weight of the loss on labels, beside that on the teacher's outputs."""
    control: bool = True
    """Also train the same student on labels alone, to measure the gain from the teacher."""


class Training(Table):
    """Everything that the result of one training depends on, apart from network, data and loss.

    Fields are those of `TrainingTable` with nothing left open; tasks add theirs. The number of
    threads (`torch.get_num_threads()`) and the kind of processor are missing on purpose: they
    change the order of sums and so the last bits of the weights, but not what was asked for. On one
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
    """Which figure on the validation images chooses the best epoch; the other one breaks ties."""


TrainingT = TypeVar("TrainingT", bound=Training)

WEIGHT_DECAY = {"adamw": 0.05, "sgd": 1e-4}
"""For recipes that give none, by optimizer."""


def resolve(
    kind: type[TrainingT], table: TrainingTable, defaults: Mapping[str, object], *, seed: int
) -> TrainingT:
    """Return `table` with nothing left open.

    Args:
        kind: The training of the task.
        table: What the recipe gives; has the fields of `kind`, apart from `seed` and `best_by`.
        defaults: Values of fields that are None in `table`.
        seed: Of the recipe.
    """
    fields = {
        name: getattr(table, name) for name in kind.model_fields if name in type(table).model_fields
    }
    open_fields = {name: value for name, value in defaults.items() if fields[name] is None}
    return kind.model_validate({**fields, **open_fields, "seed": seed})
