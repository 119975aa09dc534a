from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgetl.nn.losses import label_loss
from edgetl.train.device import DeviceMissingError
from edgetl.train.fit import DivergedError, Fitted, fit
from edgetl.train.image_batches import LabelledBatch
from edgetl.train.interfaces import (
    EVERYTHING,
    LABELLED,
    Batches,
    RunContext,
    Supervised,
    TrainingSetup,
    Validation,
    Validator,
)
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


VALIDATOR = Validator("top1", "top-1", validate)


def setup_of(
    batches: Batches[LabelledBatch],
    validator: Validator | None = VALIDATOR,
    learns: Mapping[str, float] = EVERYTHING,
) -> TrainingSetup[LabelledBatch]:
    return TrainingSetup({LABELLED: batches}, Supervised(loss), validator, learns)


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
        setup_of(batches or Squares()),
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
            setup_of(batches),
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
        [f"training resumes after epoch {finished}, where it was interrupted"] if finished else []
    )


def test_damaged_checkpoint_is_said_and_training_starts_again(tmp_path: Path) -> None:
    told = Told()
    path = tmp_path / "last.pt"
    path.write_bytes(b"torn")

    again = fit(
        network(),
        setup_of(Squares()),
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
        setup_of(Squares(), Validator("top1", "top-1", lambda _module: queue.pop(0))),
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
        setup_of(Squares(), None),
        training=training(),
        run_context=Told().run_context(),
    )

    assert result.best_epoch == 4
    assert result.rows[0].val_metric is None
    assert same_weights(result, fitted())


def test_figures_are_those_of_the_best_epoch_and_none_where_no_epoch_was_better() -> None:
    result = run_with_validations(Validation(0.5, 0.8), Validation(0.4, 0.9), Validation(0.3, 0.7))

    assert result.validation == Validation(0.4, 0.9)
    assert replace(result, best_epoch=0).validation is None


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
            setup_of(Squares(), None),
            training=training(epochs=1, mixed_precision=True),
            run_context=Told().run_context(device=device),
        )

    with pytest.raises(DeviceMissingError, match=r"torch finds no GPU .*\n  set `device: auto`"):
        attempt("cuda")
    assert same_weights(attempt("auto"), attempt("cpu"))


def test_events_and_results_are_written_per_epoch(tmp_path: Path) -> None:
    fit(
        network(),
        setup_of(Squares()),
        training=training(),
        run_context=Told().run_context(events=tmp_path / "events"),
    )

    assert len(list((tmp_path / "events").glob("events.out.tfevents.*"))) == 1


def test_frozen_parts_and_their_statistics_stay_and_learn_again_afterwards() -> None:
    module = network()
    before = {name: value.clone() for name, value in module.state_dict().items()}

    result = fit(
        module,
        setup_of(Squares(), learns={"6": 1.0}),
        training=training(ema=None),
        run_context=Told().run_context(),
    )

    after = result.module.state_dict()
    changed = {name for name, value in before.items() if not torch.equal(after[name], value)}
    assert changed == {"6.weight", "6.bias"}
    assert all(parameter.requires_grad for parameter in module.parameters())


def test_part_that_is_to_learn_and_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"the network has no module 6\.head, head"):
        fit(
            network(),
            setup_of(Squares(), learns={"head": 1.0, "5": 1.0, "6.head": 1.0}),
            training=training(),
            run_context=Told().run_context(),
        )


class Shifted:
    """The objective of labels on logits that a layer of its own has moved first."""

    def __init__(self) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(5)
            self.modules = (nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)),)

    def loss(self, network: nn.Module, samples: Mapping[str, LabelledBatch]) -> Tensor:
        batch = samples[LABELLED]
        [shift] = self.modules
        return label_loss(shift(network(batch.inputs)), batch.labels)


def test_modules_of_the_objective_learn_along_and_are_no_part_of_the_result(
    tmp_path: Path,
) -> None:
    def attempt(batches: Squares, checkpoint: Path | None = None) -> tuple[Fitted, nn.Module]:
        objective = Shifted()
        result = fit(
            network(),
            TrainingSetup({LABELLED: batches}, objective, VALIDATOR),
            training=training(),
            run_context=Told().run_context(checkpoint=checkpoint),
        )
        return result, objective.modules[0]

    whole, shift = attempt(Squares())
    with pytest.raises(KeyboardInterrupt):
        attempt(Squares(interrupt_in=(3, 1)), tmp_path / "last.pt")
    resumed, shift_resumed = attempt(Squares(), tmp_path / "last.pt")

    assert list(whole.module.state_dict()) == list(network().state_dict())
    untrained = Shifted().modules[0].state_dict()
    assert not torch.equal(shift.state_dict()["0.weight"], untrained["0.weight"])
    # An interruption forgets neither the network nor what is trained along.
    assert same_weights(whole, resumed)
    assert torch.equal(shift.state_dict()["0.weight"], shift_resumed.state_dict()["0.weight"])


class Numbered:
    """Batches that say which epoch and step they are of."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def __len__(self) -> int:
        return self.steps

    def epoch(self, number: int) -> Iterator[LabelledBatch]:
        for step in range(self.steps):
            yield LabelledBatch(torch.tensor([[float(number), float(step)]]), torch.tensor([0]))


class Listing:
    """An objective that remembers which samples it is given."""

    def __init__(self) -> None:
        self.modules: Sequence[nn.Module] = ()
        self.seen: list[dict[str, list[float]]] = []

    def loss(self, network: nn.Module, samples: Mapping[str, LabelledBatch]) -> Tensor:
        self.seen.append({name: batch.inputs[0].tolist() for name, batch in samples.items()})
        logits: Tensor = network(samples[LABELLED].inputs)
        return logits.sum()


def test_streams_are_walked_side_by_side_and_shorter_ones_start_anew() -> None:
    objective = Listing()

    fit(
        nn.Linear(2, 1),
        TrainingSetup(
            {"short": Numbered(2), LABELLED: Numbered(3), "long": Numbered(5)}, objective, None
        ),
        training=training(epochs=2),
        run_context=Told().run_context(),
    )

    # Three steps an epoch: the short stream needs two of its own epochs for them.
    assert [seen[LABELLED] for seen in objective.seen] == [
        [1, 0], [1, 1], [1, 2], [2, 0], [2, 1], [2, 2]
    ]  # fmt: skip
    assert [seen["short"] for seen in objective.seen] == [
        [1, 0], [1, 1], [2, 0], [3, 0], [3, 1], [4, 0]
    ]  # fmt: skip
    assert [seen["long"] for seen in objective.seen] == [
        [1, 0], [1, 1], [1, 2], [2, 0], [2, 1], [2, 2]
    ]  # fmt: skip


def test_long_gradients_are_scaled_down_to_the_norm() -> None:
    def moved(clip_norm: float | None) -> float:
        module = nn.Linear(192, 2, bias=False)
        nn.init.zeros_(module.weight)
        flat = setup_of(Flattened(scale=100.0), None)
        options = training(
            epochs=1, optimizer="sgd", weight_decay=0.0, warmup_epochs=0.0, ema=None, lr=1.0
        )
        fit(
            module,
            flat,
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
