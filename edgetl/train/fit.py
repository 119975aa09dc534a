"""One plain loop that trains a network, on Lightning Fabric, and can be interrupted anywhere.

On a CPU the same settings, data and number of threads give the same bits, however often the
training was interrupted. Letters: N batch, H, W, F features, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from edgetl.errors import EdgetlError, ExitCode
from edgetl.train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from edgetl.train.device import open_fabric
from edgetl.train.history import EpochRow, Events, open_events
from edgetl.train.optimizers import (
    WeightAverage,
    learning_rate,
    make_optimizer,
    set_learning_rate,
)
from edgetl.train.options import Training


class DivergedError(EdgetlError):
    """The loss of a training is no longer a number."""

    exit_code = ExitCode.CONFIG


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's samples."""

    inputs: Tensor
    """What the network takes: shape `(N, 3, H, W)`, normalised, or `(N, F)`; float32."""
    labels: Tensor
    """Shape `(N,)`, int64."""
    teacher_logits: Tensor | None = None
    """Shape `(N, K)`, of a teacher that saw the same inputs; None where there is none."""


class Batches(Protocol):
    """The training samples, in a new order in each epoch."""

    def __len__(self) -> int:
        """Return the number of steps of an epoch, at least 1."""

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of epoch `number`; the same number gives the same batches."""


Loss = Callable[[Tensor, Batch], Tensor]
"""From logits `(N, K)` and their batch, on one device, to a scalar that is to become small."""


@dataclass(frozen=True, slots=True)
class Validation:
    """How good a network is on photos it is not trained with."""

    loss: float
    """Mean cross entropy in nats, without smoothing and class weights."""
    top1: float
    """Fraction in [0, 1]."""

    def merit(self, best_by: str) -> tuple[float, float]:
        """Return what is larger for a better network: `best_by` decides, the other breaks ties."""
        return (-self.loss, self.top1) if best_by == "loss" else (self.top1, -self.loss)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where a training runs and whom it tells; nothing of it is part of what was asked for."""

    device: str
    """`auto`, `cpu` or `cuda`."""
    step: Callable[[int, int, str], None]
    """Called after every step with steps done, steps in all, and the figures of now."""
    note: Callable[[str], None]
    checkpoint: Path | None = None
    """File that survives an interruption; None for trainings that are sooner done than saved."""
    events: Path | None = None
    """Folder for TensorBoard."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What came out of a training."""

    module: nn.Module
    """With the weights of the best epoch, on the CPU, in evaluation mode."""
    rows: tuple[EpochRow, ...]
    best_epoch: int
    """Counted from 1; 0 if none of them was better than what the training started from."""

    @property
    def validation(self) -> Validation | None:
        """Figures of the best epoch on the validation photos; None without such photos."""
        row = self.rows[self.best_epoch - 1]
        if row.val_loss is None or row.val_top1 is None:
            return None
        return Validation(row.val_loss, row.val_top1)


def fit(
    module: nn.Module,
    batches: Batches,
    loss: Loss,
    *,
    training: Training,
    validate: Callable[[nn.Module], Validation] | None,
    surroundings: Surroundings,
) -> Fitted:
    """Train `module` and return it with the weights of its best epoch.

    Without validation the last epoch counts as the best. With a checkpoint file an interrupted
    training goes on after the last epoch that was finished.

    Args:
        module: Changed in place; batch normalisation is trained too.
        batches: At least one per epoch.
        loss: Of the logits of `module` for a batch.
        training: Everything else that the result depends on.
        validate: Gives the figures that choose the best epoch, for a network in evaluation mode.
        surroundings: What the result does not depend on.

    Raises:
        DivergedError: If the loss becomes infinite or not a number.
        EdgetlError: If a GPU is asked for and there is none.
    """
    fabric = open_fabric(surroundings.device, mixed_precision=training.mixed_precision)
    with _reproducible(fabric.device):
        loop = _Loop(
            fabric,
            module,
            batches=batches,
            loss=loss,
            training=training,
            surroundings=surroundings,
        )
        loop.resume()
        with open_events(surroundings.events, first_epoch=loop.epoch + 1) as events:
            while not loop.is_done():
                loop.run_epoch(validate, events)
        return loop.finish()


class _Loop:
    """A training between two epochs."""

    def __init__(
        self,
        fabric: Fabric,
        module: nn.Module,
        *,
        batches: Batches,
        loss: Loss,
        training: Training,
        surroundings: Surroundings,
    ) -> None:
        self.fabric = fabric
        self.module = module.to(memory_format=torch.channels_last)
        self.optimizer = make_optimizer(module, training)
        self.wrapped, self.stepper = fabric.setup(module, self.optimizer)
        self.average = WeightAverage(module, training.ema) if training.ema else None
        self.batches = batches
        self.loss = loss
        self.training = training
        self.surroundings = surroundings
        self.rows: list[EpochRow] = []
        self.best_epoch = 0
        self.best: dict[str, Tensor] = {}

    @property
    def epoch(self) -> int:
        """Epochs that are finished."""
        return len(self.rows)

    @property
    def kept(self) -> nn.Module:
        """The network that validation sees and that is kept."""
        return self.average.module if self.average else self.module

    def is_done(self) -> bool:
        """Say if all epochs are done, or patience is at its end."""
        patience = self.training.patience
        waited = self.epoch - self.best_epoch
        return self.epoch >= self.training.epochs or (patience is not None and waited >= patience)

    def run_epoch(self, validate: Callable[[nn.Module], Validation] | None, events: Events) -> None:
        """Train for one epoch, see if it is the best, and save where we are."""
        rate, train_loss = self._train(self.epoch + 1)
        found = None
        if validate is not None:
            self.kept.eval()
            found = validate(self.kept)
        is_best = self._is_best(found)
        self.rows.append(
            EpochRow(
                self.epoch + 1,
                rate,
                train_loss,
                found.loss if found else None,
                found.top1 if found else None,
            )
        )
        if is_best:
            self.best_epoch = self.epoch
            self.best = _snapshot(self.kept)
        self._save()
        events.write(self.rows[-1])

    def finish(self) -> Fitted:
        """Return the network of the best epoch."""
        self.module.load_state_dict(self.best)
        # Exporters trace the layout of the weights, so the one of training must not stay.
        plain = self.module.cpu().to(memory_format=torch.contiguous_format).eval()
        return Fitted(plain, tuple(self.rows), self.best_epoch)

    def resume(self) -> None:
        """Go back to where an interrupted training saved its last epoch."""
        path = self.surroundings.checkpoint
        if path is None:
            return
        try:
            found = load_checkpoint(path)
        except ValueError as error:
            self.surroundings.note(f"{error}; training starts again from the first epoch")
            return
        if found is None:
            return
        self.module.load_state_dict(found.module)
        self.optimizer.load_state_dict(found.optimizer)
        if self.average and found.average:
            self.average.module.load_state_dict(found.average)
        self.rows = found.rows
        self.best_epoch = found.best_epoch
        self.best = found.best
        self.surroundings.note(
            f"training goes on after epoch {self.epoch}, where it was interrupted"
        )

    def _train(self, epoch: int) -> tuple[float, float]:
        """Return the last learning rate and the mean loss of one epoch."""
        # Dropout has no generator of its own: it draws from the global state, set anew per epoch.
        torch.manual_seed(_epoch_seed(self.training.seed, epoch))
        self.wrapped.train()
        num_steps = len(self.batches)
        losses: list[float] = []
        rate = 0.0
        for index, given in enumerate(self.batches.epoch(epoch)):
            step = (epoch - 1) * num_steps + index
            rate = learning_rate(step, self.training, num_steps)
            set_learning_rate(self.optimizer, rate)
            batch = self._on_device(given)
            value = self.loss(self.wrapped(batch.inputs), batch)
            losses.append(value.item())
            if not math.isfinite(losses[-1]):
                raise DivergedError(
                    f"the loss became {losses[-1]} in step {index + 1} of epoch {epoch}",
                    remedy=f"lower `lr` (now {self.training.lr:g}) or raise `warmup_epochs` "
                    f"(now {self.training.warmup_epochs:g})",
                )
            self.stepper.zero_grad()
            self.fabric.backward(value)
            self.stepper.step()
            if self.average:
                self.average.update(self.module, step)
            self.surroundings.step(
                step + 1, num_steps * self.training.epochs, self._figures(epoch, losses)
            )
        return rate, sum(losses) / len(losses)

    def _on_device(self, batch: Batch) -> Batch:
        device = self.fabric.device
        teacher_logits = batch.teacher_logits
        return Batch(
            batch.inputs.to(device),
            batch.labels.to(device),
            None if teacher_logits is None else teacher_logits.to(device),
        )

    def _figures(self, epoch: int, losses: list[float]) -> str:
        words = f"epoch {epoch}/{self.training.epochs}, loss {sum(losses) / len(losses):.3f}"
        top1 = self.rows[-1].val_top1 if self.rows else None
        return words if top1 is None else f"{words}, val top-1 {top1:.3f}"

    def _is_best(self, found: Validation | None) -> bool:
        if found is None or not self.best_epoch:
            return True
        row = self.rows[self.best_epoch - 1]
        if row.val_loss is None or row.val_top1 is None:
            return True
        best = Validation(row.val_loss, row.val_top1)
        by = self.training.best_by
        return found.merit(by) > best.merit(by)

    def _save(self) -> None:
        if self.surroundings.checkpoint is None:
            return
        checkpoint = Checkpoint(
            rows=self.rows,
            module=self.module.state_dict(),
            optimizer=self.optimizer.state_dict(),
            average=self.average.module.state_dict() if self.average else None,
            best_epoch=self.best_epoch,
            best=self.best,
        )
        save_checkpoint(self.surroundings.checkpoint, checkpoint)


def _snapshot(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}


def _epoch_seed(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0])


@contextmanager
def _reproducible(device: torch.device) -> Iterator[None]:
    """Draw from a random state of our own, and on a CPU allow only repeatable algorithms."""
    before = torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        # On a GPU repeatable algorithms need a setting of cuBLAS from before the process began.
        torch.use_deterministic_algorithms(before or device.type == "cpu")
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)
