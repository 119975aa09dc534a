"""One plain loop that trains a network, on Lightning Fabric, and can be interrupted anywhere.

On a CPU the same settings, data and number of threads give the same bits, however often the
training was interrupted. The task defines the content of a batch and the outputs of the network.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, Generic

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from edgetl.errors import EdgetlError, ExitCode
from edgetl.train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from edgetl.train.device import open_fabric
from edgetl.train.history import EpochRow, Events, open_events
from edgetl.train.interfaces import (
    LABELLED,
    Batches,
    RunContext,
    SampleT,
    TrainingSetup,
    Validation,
)
from edgetl.train.optimizers import (
    WeightAverage,
    frozen_parts,
    learning,
    learning_rate,
    make_optimizer,
    set_learning_rate,
)
from edgetl.train.options import Training


class DivergedError(EdgetlError):
    """The loss of a training is no longer finite."""

    exit_code = ExitCode.CONFIG


@dataclass(frozen=True, slots=True)
class Fitted:
    """The result of a training."""

    module: nn.Module
    """With the weights of the best epoch, on the CPU, in evaluation mode."""
    rows: tuple[EpochRow, ...]
    best_epoch: int
    """Counted from 1; 0 if no epoch was better than the start."""

    @property
    def validation(self) -> Validation | None:
        """Figures of the best epoch on the validation images.

        None without such images, or if no epoch was better than the start.
        """
        return _validation_of(self.rows[self.best_epoch - 1]) if self.best_epoch else None


def _validation_of(row: EpochRow) -> Validation | None:
    if row.val_loss is None or row.val_metric is None:
        return None
    return Validation(row.val_loss, row.val_metric)


def fit(
    module: nn.Module,
    setup: TrainingSetup[SampleT],
    *,
    training: Training,
    run_context: RunContext,
) -> Fitted:
    """Train `module` and return it with the weights of its best epoch.

    Without a validator the last epoch counts as the best. With a checkpoint file an interrupted
    training resumes after the last finished epoch.

    Args:
        module: Changed in place; batch normalisation is trained too.
        setup: Samples, objective and validator, and the parts of `module` that learn.
        training: Everything else that the result depends on.
        run_context: Settings that do not affect the result.

    Raises:
        DivergedError: If the loss becomes infinite or not a number.
        EdgetlError: If a GPU is requested and there is none.
        ValueError: If `module` lacks a part that `setup` names.
    """
    fabric = open_fabric(run_context.device, mixed_precision=training.mixed_precision)
    with _reproducible(fabric.device), learning(module, setup.learns):
        loop = _Loop(fabric, module, setup, training=training, run_context=run_context)
        loop.resume()
        metric = setup.validator.metric if setup.validator else ""
        with open_events(run_context.events, metric, first_epoch=loop.epoch + 1) as events:
            while not loop.is_done():
                loop.run_epoch(events)
        return loop.finish()


class _Loop(Generic[SampleT]):
    """The state of a training between two epochs."""

    def __init__(
        self,
        fabric: Fabric,
        module: nn.Module,
        setup: TrainingSetup[SampleT],
        *,
        training: Training,
        run_context: RunContext,
    ) -> None:
        self.fabric = fabric
        self.module = module.to(memory_format=torch.channels_last)
        self.frozen = frozen_parts(module, setup.learns)
        modules = setup.objective.modules
        self.along = nn.ModuleList(modules).to(fabric.device).to(memory_format=torch.channels_last)
        self.optimizer = make_optimizer(module, training, learns=setup.learns, along=modules)
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
        """The network that is validated and kept."""
        return self.average.module if self.average else self.module

    def is_done(self) -> bool:
        """Return whether all epochs are done, or patience has run out."""
        patience = self.training.patience
        waited = self.epoch - self.best_epoch
        return self.epoch >= self.training.epochs or (patience is not None and waited >= patience)

    def run_epoch(self, events: Events) -> None:
        """Train for one epoch, validate it, and save the state."""
        rate, train_loss = self._train(self.epoch + 1)
        validation = None
        if self.setup.validator is not None:
            self.kept.eval()
            validation = self.setup.validator.take(self.kept)
        is_best = self._is_best(validation)
        self.rows.append(
            EpochRow(
                self.epoch + 1,
                rate,
                train_loss,
                validation.loss if validation else None,
                validation.value if validation else None,
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
        # Exporters trace the layout of the weights, so training's layout is undone.
        plain = self.module.cpu().to(memory_format=torch.contiguous_format).eval()
        return Fitted(plain, tuple(self.rows), self.best_epoch)

    def resume(self) -> None:
        """Restore the state after the last epoch that an interrupted training saved."""
        path = self.run_context.checkpoint
        if path is None:
            return
        try:
            checkpoint = load_checkpoint(path)
        except ValueError as error:
            self.run_context.note(f"{error}; training starts again from the first epoch")
            return
        if checkpoint is None:
            return
        self.module.load_state_dict(checkpoint.module)
        self.along.load_state_dict(checkpoint.along)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        if self.average and checkpoint.average:
            self.average.module.load_state_dict(checkpoint.average)
        self.rows = checkpoint.rows
        self.best_epoch = checkpoint.best_epoch
        self.best = checkpoint.best
        self.run_context.note(
            f"training resumes after epoch {self.epoch}, where it was interrupted"
        )

    def _train(self, epoch: int) -> tuple[float, float]:
        """Return the last learning rate and the mean loss of one epoch."""
        # Dropout has no generator of its own: it uses the global state, which is seeded per epoch.
        torch.manual_seed(_epoch_seed(self.training.seed, epoch))
        self.wrapped.train()
        self.along.train()
        for part in self.frozen:
            part.eval()
        num_steps = len(self.setup.streams[LABELLED])
        losses: list[float] = []
        rate = 0.0
        for index, samples in enumerate(_steps(self.setup.streams, epoch)):
            step = (epoch - 1) * num_steps + index
            rate = learning_rate(step, self.training, num_steps)
            set_learning_rate(self.optimizer, rate)
            moved = {name: batch.to(self.fabric.device) for name, batch in samples.items()}
            value = self.setup.objective.loss(self.wrapped, moved)
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
                # A gradient that is not finite shows in the next loss, or mixed precision skips it.
                self.fabric.clip_gradients(
                    self.wrapped,
                    self.stepper,
                    max_norm=self.training.clip_norm,
                    error_if_nonfinite=False,
                )
            self.stepper.step()
            if self.average:
                self.average.update(step)
            self.run_context.step(
                step + 1, num_steps * self.training.epochs, self._figures(epoch, losses)
            )
        return rate, sum(losses) / len(losses)

    def _figures(self, epoch: int, losses: list[float]) -> str:
        text = f"epoch {epoch}/{self.training.epochs}, loss {sum(losses) / len(losses):.3f}"
        value = self.rows[-1].val_metric if self.rows else None
        if self.setup.validator is None or value is None:
            return text
        return f"{text}, val {self.setup.validator.title} {value:.3f}"

    def _is_best(self, validation: Validation | None) -> bool:
        if validation is None or not self.best_epoch:
            return True
        best = _validation_of(self.rows[self.best_epoch - 1])
        by = self.training.best_by
        return best is None or validation.selection_key(by) > best.selection_key(by)

    def _save(self) -> None:
        if self.run_context.checkpoint is None:
            return
        checkpoint = Checkpoint(
            rows=self.rows,
            module=self.module.state_dict(),
            along=self.along.state_dict(),
            optimizer=self.optimizer.state_dict(),
            average=self.average.module.state_dict() if self.average else None,
            best_epoch=self.best_epoch,
            best=self.best,
        )
        save_checkpoint(self.run_context.checkpoint, checkpoint)


def _steps(streams: Mapping[str, Batches[SampleT]], epoch: int) -> Iterator[dict[str, SampleT]]:
    """Yield one batch of each stream per step, as long as the labelled one lasts.

    A shorter stream runs through several epochs of its own per epoch of the labelled stream. They
    are numbered through the whole training, so that any epoch can be repeated without those before.
    """
    num_steps = len(streams[LABELLED])
    # First, because `zip` ends with the first exhausted iterator.
    names = [LABELLED, *(name for name in streams if name != LABELLED)]
    epochs = []
    for name in names:
        rounds = math.ceil(num_steps / len(streams[name]))
        first = (epoch - 1) * rounds + 1
        numbers = range(first, first + rounds)
        epochs.append(chain.from_iterable(map(streams[name].epoch, numbers)))
    for samples in zip(*epochs, strict=False):
        yield dict(zip(names, samples, strict=True))


def _snapshot(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}


def _epoch_seed(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0])


@contextmanager
def _reproducible(device: torch.device) -> Iterator[None]:
    """Use a separate random state, and on a CPU allow only deterministic algorithms."""
    before = torch.are_deterministic_algorithms_enabled()
    # torch sets the module's class, which mypy does not see.
    settings: Any = torch.utils.deterministic
    fills = settings.fill_uninitialized_memory
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        # On a GPU, deterministic algorithms need a setting of cuBLAS from process start.
        torch.use_deterministic_algorithms(before or device.type == "cpu")
        # Every new tensor would be filled first, which finds operations that read what they have
        # not written; torch's own do not.
        settings.fill_uninitialized_memory = False
        try:
            yield
        finally:
            settings.fill_uninitialized_memory = fills
            torch.use_deterministic_algorithms(before)
