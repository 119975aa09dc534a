"""What a training can be told. Imports no framework: recipes and plans are checked with these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from edgetl.config.table import Table

IMAGENET = "imagenet"
NO_WEIGHTS = "none"


class NetworkSettings(Table):
    """A network and the weights it starts from."""

    family: str
    width: float
    weights: str
    """`imagenet`, `none`, or the SHA-256 of a file."""
    weights_file: str = Field(default="", exclude=True)
    """Where the file with that digest is; says nothing about the result, so it is in no key."""
    seed: int
    """Of what starts at random."""


class TrainingTable(Table):
    """The fields that every recipe table of a training has."""

    epochs: int = Field(default=12, ge=1, le=10_000)
    """Passes over the training photos through the whole network."""
    batch_size: int = Field(default=32, ge=2, le=4096)
    """Photos per step; batch normalisation needs at least two."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """`sgd` has Nesterov momentum 0.9."""
    lr: float | None = Field(default=None, gt=0.0)
    """Highest learning rate; left out, one that suits optimizer and strategy."""
    weight_decay: float | None = Field(default=None, ge=0.0)
    """Of weights, not of biases and norms; left out, 0.05 for `adamw` and 0.0001 for `sgd`."""
    warmup_epochs: float = Field(default=0.5, ge=0.0)
    """Linear rise of the learning rate before its cosine fall; less than `epochs`."""
    ema: float | None = Field(default=0.999, gt=0.0, lt=1.0)
    """Decay of the running average of the weights, which is the model; null keeps the weights."""
    label_smoothing: float = Field(default=0.1, ge=0.0, lt=1.0)
    """Share of every label that is spread over all classes."""
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced` makes every class pull alike, however many photos it has."""
    augment: Literal["none", "flip", "light", "strong"] = "light"
    """How much photos vary from epoch to epoch: mirrored; also cut and recoloured; and more so."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after so many epochs without a better validation result; null never stops early."""
    mixed_precision: bool = True
    """On a GPU, compute in 16 bits where that is safe; a CPU always computes in 32."""

    @model_validator(mode="after")
    def _warm_up_ends(self) -> TrainingTable:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs is {self.warmup_epochs:g}; must be less than epochs ({self.epochs})"
            )
        return self


class FinetuneTable(TrainingTable):
    """How the teacher learns the photos' classes."""

    strategy: Literal["linear-probe", "full", "probe-then-full"] = "probe-then-full"
    """Train the last layer on cached features, the whole network, or one after the other."""
    epochs: int = Field(default=12, ge=1, le=10_000)
    """Passes over the training photos through the whole network; not read by `linear-probe`."""
    probe_epochs: int = Field(default=60, ge=1, le=100_000)
    """Passes over the cached features; not read by `full`."""
    probe_lr: float = Field(default=0.001, gt=0.0)
    """Highest learning rate of the probe, which always uses `adamw`; not read by `full`."""

    @property
    def probes(self) -> bool:
        """Whether the last layer is trained on features of the frozen backbone."""
        return self.strategy != "full"


class DistillTable(TrainingTable):
    """How the student learns from its teacher."""

    method: Literal["dkd", "soft-targets"] = "dkd"
    """Decoupled distillation (Zhao et al. 2022) or soft targets (Hinton et al. 2015)."""
    epochs: int = Field(default=30, ge=1, le=10_000)
    """Passes over the training photos."""
    temperature: float = Field(default=4.0, gt=0.0)
    """Softens the classes of both; 1 leaves them as they are."""
    label_weight: float = Field(default=1.0, ge=0.0)
    """Weight of the loss on labels, beside that on the teacher's classes."""
    soft_weight: float = Field(default=1.0, ge=0.0)
    """Weight of the teacher's classes; only read by `soft-targets`."""
    alpha: float = Field(default=1.0, ge=0.0)
    """Weight of the target class against all others; only read by `dkd`."""
    beta: float = Field(default=2.0, ge=0.0)
    """Weight of the other classes among themselves; only read by `dkd`."""
    control: bool = True
    """Also train the same student on labels alone, to see what the teacher was good for."""


class DistillLoss(Table):
    """What a student makes small; fields that its method does not read are zero."""

    method: Literal["dkd", "soft-targets", "labels"]
    temperature: float = 0.0
    label_weight: float = 1.0
    soft_weight: float = 0.0
    alpha: float = 0.0
    beta: float = 0.0


class Training(TrainingTable):
    """Everything that the result of one training depends on, apart from network, data and loss.

    The number of threads (`torch.get_num_threads()`) and the kind of processor are missing on
    purpose: they change the order of sums and so the last bits of the weights, but not what was
    asked for. On one machine with one number of threads the same settings give the same bytes.
    """

    lr: float = Field(gt=0.0)
    weight_decay: float = Field(ge=0.0)
    seed: int
    """Of the order of photos, augmentation and dropout."""
    best_by: Literal["top1", "loss"] = "top1"
    """Which figure on the validation photos chooses the best epoch; the other one breaks ties."""


_WEIGHT_DECAY = {"adamw": 0.05, "sgd": 1e-4}
_PROBE_BATCH = 256
"""Rows of features per step; large, as a step costs next to nothing."""


def resolve(table: TrainingTable, default_lr: Mapping[str, float], *, seed: int) -> Training:
    """Return `table` with nothing left open.

    Args:
        table: What the recipe says.
        default_lr: Learning rate by optimizer, for a recipe that gives none.
        seed: Of the recipe.
    """
    fields = {name: getattr(table, name) for name in TrainingTable.model_fields}
    fields["lr"] = table.lr if table.lr is not None else default_lr[table.optimizer]
    if table.weight_decay is None:
        fields["weight_decay"] = _WEIGHT_DECAY[table.optimizer]
    return Training(**fields, seed=seed)


def resolve_probe(table: FinetuneTable, *, seed: int) -> Training:
    """Return how the linear probe of `table` is trained.

    Plain AdamW over large batches: the problem is convex, so nothing is averaged. The photos are
    only mirrored, which their cached features allow. The loss chooses the best epoch: it changes
    smoothly, where the accuracy on a few dozen photos jumps and would choose by chance.
    """
    return Training(
        epochs=table.probe_epochs,
        batch_size=_PROBE_BATCH,
        lr=table.probe_lr,
        weight_decay=_WEIGHT_DECAY["adamw"],
        warmup_epochs=0.0,
        ema=None,
        label_smoothing=table.label_smoothing,
        class_weights=table.class_weights,
        augment="none" if table.augment == "none" else "flip",
        patience=None,
        mixed_precision=False,
        seed=seed,
        best_by="loss",
    )


def resolve_loss(table: DistillTable) -> DistillLoss:
    """Return the loss of `table`, without what its method does not read."""
    shared = {"temperature": table.temperature, "label_weight": table.label_weight}
    if table.method == "dkd":
        return DistillLoss(method="dkd", alpha=table.alpha, beta=table.beta, **shared)
    return DistillLoss(method="soft-targets", soft_weight=table.soft_weight, **shared)
