from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgetl.nn.losses import label_loss
from edgetl.train.device import DeviceMissingError
from edgetl.train.fit import DivergedError, Fitted, fit
from edgetl.train.image_batches import LabelledBatch
from edgetl.train.interfaces import RunContext, TrainingSetup, Validation, Validator
from edgetl.train.options import Training

STEPS = 3


class Squares:
    """Two classes of 8 px squares, bright and dark, drawn anew in each epoch."""

    def __init__(self, *, interrupt_in: tuple[int, int] | None = None, scale: float = 1.0) -> None:
        self.interrupt_in = interrupt_in
        self.scale = scale

    def __len__(self) -> int:
        return STEPS

    def epoch(self, number: int) -> Iterator[LabelledBatch]:
        draw = np.random.default_rng([7, number])
        for step in range(STEPS):
            if (number, step) == self.interrupt_in:
                raise KeyboardInterrupt
            labels = draw.integers(0, 2, 8)
            noise = draw.standard_normal((8, 3, 8, 8), np.float32)
            inputs = self.scale * (noise + (labels * 2.0 - 1.0)[:, None, None, None])
            yield LabelledBatch(
                torch.from_numpy(inputs.astype(np.float32)), torch.from_numpy(labels)
            )


def network() -> nn.Module:
    """Return a network with all that resuming must not forget: batch norm and dropout."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(8, 2),
        )


def loss(logits: Tensor, batch: LabelledBatch) -> Tensor:
    return label_loss(logits, batch.labels)


def validate(module: nn.Module) -> Validation:
    batch = next(Squares().epoch(99))
    with torch.inference_mode():
        logits = module(batch.inputs)
    right = (logits.argmax(dim=1) == batch.labels).float().mean().item()
    return Validation(label_loss(logits, batch.labels).item(), right)


EXAM = Validator("top1", "top-1", validate)


def training(**fields: object) -> Training:
    given: dict[str, object] = {"epochs": 4, "batch_size": 8, "lr": 0.01, "weight_decay": 0.05}
    return Training.model_validate({**given, "seed": 3, **fields})


class Told:
    """Surroundings that remember what they were told."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int, str]] = []
        self.notes: list[str] = []

    def run_context(
        self, *, checkpoint: Path | None = None, events: Path | None = None, device: str = "cpu"
    ) -> RunContext:
        return RunContext(
            device=device,
            step=lambda done, total, text: self.steps.append((done, total, text)),
            note=self.notes.append,
            checkpoint=checkpoint,
            events=events,
        )


def fitted(batches: Squares | None = None, told: Told | None = None, **fields: object) -> Fitted:
    return fit(
        network(),
        TrainingSetup(batches or Squares(), loss, EXAM),
        training=training(**fields),
        run_context=(told or Told()).run_context(),
    )


def same_weights(first: Fitted, second: Fitted) -> bool:
    states = first.module.state_dict(), second.module.state_dict()
    return all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("ema", [0.999, None])
@pytest.mark.parametrize("place", [(1, 2), (3, 1), (4, 0)], ids=["first", "middle", "last"])
def test_training_interrupted_in_an_epoch_ends_with_the_same_bits(
    tmp_path: Path, place: tuple[int, int], ema: float | None, optimizer: str
) -> None:
    options = training(ema=ema, optimizer=optimizer)
    whole = fitted(ema=ema, optimizer=optimizer)
    told = Told()

    def attempt(batches: Squares) -> Fitted:
        return fit(
            network(),
            TrainingSetup(batches, loss, EXAM),
            training=options,
            run_context=told.run_context(checkpoint=tmp_path / "last.pt"),
        )

    with pytest.raises(KeyboardInterrupt):
        attempt(Squares(interrupt_in=place))
    # Whatever else the process drew in between must not matter.
    torch.randn(5)
    resumed = attempt(Squares())

    assert same_weights(whole, resumed)
    assert resumed.rows == whole.rows
    assert resumed.best_epoch == whole.best_epoch
    finished = place[0] - 1
    assert told.notes == (
        [f"training goes on after epoch {finished}, where it was interrupted"] if finished else []
    )


def test_damaged_checkpoint_is_said_and_training_starts_again(tmp_path: Path) -> None:
    told = Told()
    path = tmp_path / "last.pt"
    path.write_bytes(b"torn")

    again = fit(
        network(),
        TrainingSetup(Squares(), loss, EXAM),
        training=training(),
        run_context=told.run_context(checkpoint=path),
    )

    assert same_weights(again, fitted())
    assert len(told.notes) == 1
    assert told.notes[0].startswith("last.pt is damaged: ")
    assert told.notes[0].endswith("; training starts again from the first epoch")


def test_training_learns_and_returns_an_evaluated_network() -> None:
    result = fitted()

    assert not result.module.training
    assert [row.epoch for row in result.rows] == [1, 2, 3, 4]
    assert result.rows[-1].train_loss < result.rows[0].train_loss
    assert validate(result.module).value == 1.0


def test_seed_decides_dropout_and_the_callers_random_state_does_not() -> None:
    torch.manual_seed(1)
    first = fitted()
    torch.manual_seed(2)
    second = fitted()

    assert same_weights(first, second)
    assert not same_weights(first, fitted(seed=4))


def test_callers_random_state_and_determinism_are_left_alone() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()

    fitted()

    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.are_deterministic_algorithms_enabled()


def run_with_validations(
    *figures: Validation, patience: int | None = None, best_by: str = "metric"
) -> Fitted:
    """Train with given validation figures, one per epoch, without averaging."""
    queue = list(figures)
    return fit(
        network(),
        TrainingSetup(Squares(), loss, Validator("top1", "top-1", lambda _module: queue.pop(0))),
        training=training(epochs=len(figures), patience=patience, best_by=best_by, ema=None),
        run_context=Told().run_context(),
    )


def test_best_epoch_has_most_images_right_then_least_loss() -> None:
    result = run_with_validations(
        Validation(0.5, 0.8), Validation(0.9, 0.9), Validation(0.7, 0.9), Validation(0.1, 0.8)
    )

    assert result.best_epoch == 3


def test_best_epoch_by_loss_has_least_loss_then_most_images_right() -> None:
    result = run_with_validations(
        Validation(0.5, 0.9), Validation(0.3, 0.7), Validation(0.3, 0.8), best_by="loss"
    )

    assert result.best_epoch == 3


def test_weights_of_the_best_epoch_are_returned() -> None:
    worse_later = [Validation(0.5, 0.9), Validation(0.5, 0.1)]
    better_later = [Validation(0.5, 0.1), Validation(0.5, 0.9)]

    first = run_with_validations(*worse_later)
    last = run_with_validations(*better_later)

    assert (first.best_epoch, last.best_epoch) == (1, 2)
    assert not same_weights(first, last)


def test_patience_ends_a_training_that_no_longer_gets_better() -> None:
    result = run_with_validations(
        Validation(0.5, 0.8),
        Validation(0.6, 0.8),
        Validation(0.5, 0.8),
        Validation(0.1, 1.0),
        patience=2,
    )

    assert len(result.rows) == 3
    assert result.best_epoch == 1


def test_without_validation_the_last_epoch_is_kept() -> None:
    result = fit(
        network(),
        TrainingSetup(Squares(), loss, None),
        training=training(),
        run_context=Told().run_context(),
    )

    assert result.best_epoch == 4
    assert result.rows[0].val_metric is None
    assert same_weights(result, fitted())


def test_progress_tells_steps_and_the_figures_of_now() -> None:
    told = Told()

    result = fitted(told=told)

    assert [(done, total) for done, total, _ in told.steps] == [(n, 12) for n in range(1, 13)]
    assert told.steps[0][2].startswith("epoch 1/4, loss ")
    assert "val top-1" not in told.steps[0][2]
    loss, value = result.rows[3].train_loss, result.rows[2].val_metric
    assert told.steps[-1][2] == f"epoch 4/4, loss {loss:.3f}, val top-1 {value:.3f}"


def test_loss_that_is_no_number_ends_the_training_with_a_remedy() -> None:
    with pytest.raises(
        DivergedError,
        match=r"the loss became nan in step 1 of epoch 1\n  lower `lr` \(now 0\.01\) or raise",
    ):
        fitted(Squares(scale=float("inf")))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_missing_gpu_is_refused_when_asked_for_and_passed_over_by_auto() -> None:
    def attempt(device: str) -> Fitted:
        return fit(
            network(),
            TrainingSetup(Squares(), loss, None),
            training=training(epochs=1, mixed_precision=True),
            run_context=Told().run_context(device=device),
        )

    with pytest.raises(DeviceMissingError, match=r"torch finds no GPU .*\n  set `device: auto`"):
        attempt("cuda")
    assert same_weights(attempt("auto"), attempt("cpu"))


def test_events_and_results_are_written_per_epoch(tmp_path: Path) -> None:
    fit(
        network(),
        TrainingSetup(Squares(), loss, EXAM),
        training=training(),
        run_context=Told().run_context(events=tmp_path / "events"),
    )

    assert len(list((tmp_path / "events").glob("events.out.tfevents.*"))) == 1


def test_frozen_parts_and_their_statistics_stay_and_learn_again_afterwards() -> None:
    module = network()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    frozen = (module.get_submodule("0"), module.get_submodule("1"))

    result = fit(
        module,
        TrainingSetup(Squares(), loss, EXAM, frozen),
        training=training(ema=None),
        run_context=Told().run_context(),
    )

    after = result.module.state_dict()
    changed = {name for name, value in before.items() if not torch.equal(after[name], value)}
    assert changed == {"6.weight", "6.bias"}
    assert all(parameter.requires_grad for parameter in module.parameters())


def test_long_gradients_are_scaled_down_to_the_norm() -> None:
    def moved(clip_norm: float | None) -> float:
        module = nn.Linear(192, 2, bias=False)
        nn.init.zeros_(module.weight)
        teacher_outputs = TrainingSetup(Flattened(scale=100.0), loss, None)
        options = training(
            epochs=1, optimizer="sgd", weight_decay=0.0, warmup_epochs=0.0, ema=None, lr=1.0
        )
        fit(
            module,
            teacher_outputs,
            training=options.model_copy(update={"clip_norm": clip_norm}),
            run_context=Told().run_context(),
        )
        length: float = module.weight.norm().item()
        return length

    # One step of Nesterov's SGD goes 1 + momentum times the gradient.
    assert moved(0.5) == pytest.approx(0.5 * 1.9, rel=1e-4)
    assert moved(None) > 10


class Flattened(Squares):
    """One batch of the squares as rows."""

    def __len__(self) -> int:
        return 1

    def epoch(self, number: int) -> Iterator[LabelledBatch]:
        batch = next(super().epoch(number))
        yield LabelledBatch(batch.inputs.flatten(1), batch.labels)
