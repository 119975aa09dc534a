"""One plain loop that trains a network, on Lightning Fabric, and can be interrupted anywhere.

On a CPU the same settings, data and number of threads give the same bits, however often the
training was interrupted. What a batch holds and what the network answers is up to the task.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from edgetl.errors import EdgetlError, ExitCode
from edgetl.train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from edgetl.train.device import open_fabric
from edgetl.train.history import EpochRow, Events, open_events
from edgetl.train.interfaces import (
    OutputT,
    RunContext,
    SampleT,
    TrainingSetup,
    Validation,
)
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
class Fitted:
    """What came out of a training."""

    module: nn.Module
    """With the weights of the best epoch, on the CPU, in evaluation mode."""
    rows: tuple[EpochRow, ...]
    best_epoch: int
    """Counted from 1; 0 if none of them was better than what the training started from."""

    @property
    def validation(self) -> Validation | None:
        """Figures of the best epoch on the validation images; None without such images."""
        row = self.rows[self.best_epoch - 1]
        if row.val_loss is None or row.val_metric is None:
            return None
        return Validation(row.val_loss, row.val_metric)


def fit(
    module: nn.Module,
    setup: TrainingSetup[OutputT, SampleT],
    *,
    training: Training,
    run_context: RunContext,
) -> Fitted:
    """Train `module` and return it with the weights of its best epoch.

    Without an exam the last epoch counts as the best. With a checkpoint file an interrupted
    training goes on after the last epoch that was finished.

    Args:
        module: Changed in place; batch normalisation is trained too.
        setup: What it is taught; at least one batch per epoch.
        training: Everything else that the result depends on.
        run_context: What the result does not depend on.

    Raises:
        DivergedError: If the loss becomes infinite or not a number.
        EdgetlError: If a GPU is asked for and there is none.
    """
    fabric = open_fabric(run_context.device, mixed_precision=training.mixed_precision)
    with _reproducible(fabric.device), _still(setup.frozen):
        loop = _Loop(fabric, module, setup, training=training, run_context=run_context)
        loop.resume()
        metric = setup.validator.metric if setup.validator else ""
        with open_events(run_context.events, metric, first_epoch=loop.epoch + 1) as events:
            while not loop.is_done():
                loop.run_epoch(events)
        return loop.finish()


class _Loop(Generic[OutputT, SampleT]):
    """A training between two epochs."""

    def __init__(
        self,
        fabric: Fabric,
        module: nn.Module,
        setup: TrainingSetup[OutputT, SampleT],
        *,
        training: Training,
        run_context: RunContext,
    ) -> None:
        self.fabric = fabric
        self.module = module.to(memory_format=torch.channels_last)
        self.optimizer = make_optimizer(module, training)
        self.wrapped, self.stepper = fabric.setup(module, self.optimizer)
        self.average = WeightAverage(module, training.ema) if training.ema else None
        self.setup = setup
        self.training = training
        self.run_context = run_context
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

    def run_epoch(self, events: Events) -> None:
        """Train for one epoch, see if it is the best, and save where we are."""
        rate, train_loss = self._train(self.epoch + 1)
        found = None
        if self.setup.validator is not None:
            self.kept.eval()
            found = self.setup.validator.take(self.kept)
        is_best = self._is_best(found)
        self.rows.append(
            EpochRow(
                self.epoch + 1,
                rate,
                train_loss,
                found.loss if found else None,
                found.value if found else None,
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
        path = self.run_context.checkpoint
        if path is None:
            return
        try:
            found = load_checkpoint(path)
        except ValueError as error:
            self.run_context.note(f"{error}; training starts again from the first epoch")
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
        self.run_context.note(
            f"training goes on after epoch {self.epoch}, where it was interrupted"
        )

    def _train(self, epoch: int) -> tuple[float, float]:
        """Return the last learning rate and the mean loss of one epoch."""
        # Dropout has no generator of its own: it draws from the global state, set anew per epoch.
        torch.manual_seed(_epoch_seed(self.training.seed, epoch))
        self.wrapped.train()
        for part in self.setup.frozen:
            part.eval()
        num_steps = len(self.setup.batches)
        losses: list[float] = []
        rate = 0.0
        for index, given in enumerate(self.setup.batches.epoch(epoch)):
            step = (epoch - 1) * num_steps + index
            rate = learning_rate(step, self.training, num_steps)
            set_learning_rate(self.optimizer, rate)
            batch = given.to(self.fabric.device)
            value = self.setup.loss(self.wrapped(batch.inputs), batch)
            losses.append(value.item())
            if not math.isfinite(losses[-1]):
                raise DivergedError(
                    f"the loss became {losses[-1]} in step {index + 1} of epoch {epoch}",
                    remedy=f"lower `lr` (now {self.training.lr:g}) or raise `warmup_epochs` "
                    f"(now {self.training.warmup_epochs:g})",
                )
            self.stepper.zero_grad()
            self.fabric.backward(value)
            if self.training.clip_norm is not None:
                # What is not finite shows in the next loss, or is skipped by mixed precision.
                self.fabric.clip_gradients(
                    self.wrapped,
                    self.stepper,
                    max_norm=self.training.clip_norm,
                    error_if_nonfinite=False,
                )
            self.stepper.step()
            if self.average:
                self.average.update(self.module, step)
            self.run_context.step(
                step + 1, num_steps * self.training.epochs, self._figures(epoch, losses)
            )
        return rate, sum(losses) / len(losses)

    def _figures(self, epoch: int, losses: list[float]) -> str:
        words = f"epoch {epoch}/{self.training.epochs}, loss {sum(losses) / len(losses):.3f}"
        value = self.rows[-1].val_metric if self.rows else None
        if self.setup.validator is None or value is None:
            return words
        return f"{words}, val {self.setup.validator.title} {value:.3f}"

    def _is_best(self, found: Validation | None) -> bool:
        if found is None or not self.best_epoch:
            return True
        row = self.rows[self.best_epoch - 1]
        if row.val_loss is None or row.val_metric is None:
            return True
        best = Validation(row.val_loss, row.val_metric)
        by = self.training.best_by
        return found.selection_key(by) > best.selection_key(by)

    def _save(self) -> None:
        if self.run_context.checkpoint is None:
            return
        checkpoint = Checkpoint(
            rows=self.rows,
            module=self.module.state_dict(),
            optimizer=self.optimizer.state_dict(),
            average=self.average.module.state_dict() if self.average else None,
            best_epoch=self.best_epoch,
            best=self.best,
        )
        save_checkpoint(self.run_context.checkpoint, checkpoint)


@contextmanager
def _still(parts: Sequence[nn.Module]) -> Iterator[None]:
    """Keep gradients from parts of a network for a while."""
    parameters = [parameter for part in parts for parameter in part.parameters()]
    before = [parameter.requires_grad for parameter in parameters]
    for parameter in parameters:
        parameter.requires_grad = False
    try:
        yield
    finally:
        for parameter, learns in zip(parameters, before, strict=True):
            parameter.requires_grad = learns


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
