"""What every fine-tuning strategy must hold, for each task that it supports."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from edgetl.config.method_keys import every_table, select, supports
from edgetl.models import FAMILIES, Family
from edgetl.stages import STAGES
from edgetl.stages._phases import STRATEGY_KEYS
from edgetl.tasks import TASKS
from edgetl.train.fit import fit
from edgetl.train.image_batches import LabelledBatch
from edgetl.train.interfaces import LABELLED, RunContext, Supervised, TrainingSetup
from edgetl.train.options import FinetuneTable, Training
from edgetl.train.strategies import STRATEGIES, Phase, StrategyContext

CASES = [
    pytest.param(name, task, id=f"{name}-{task}")
    for name in STRATEGIES.names()
    for task in STRATEGIES.load(name).tasks or TASKS.names()
]
SHARED = set(FinetuneTable.model_fields)
TASK_KEYS = {key for task in TASKS.names() for key in TASKS.load(task).training.table.model_fields}
OPTIMIZERS = ("adamw", "sgd")


def family_for(task: str) -> Family:
    """Return the first family of a task by name."""
    families = (FAMILIES.load(name) for name in FAMILIES.names())
    return next(family for family in families if family.task == task)


def phases_of(
    name: str, task: str, *, pretrained: bool = True, **given: object
) -> tuple[Phase, ...]:
    """Return the phases that a recipe with the keys `given` gets."""
    stage_table = STAGES.load("finetune").options
    selection = select(stage_table, STRATEGY_KEYS, task, {"strategy": name, **given})
    table = selection.table.model_validate({"strategy": name, **given})
    assert isinstance(table, FinetuneTable)
    context = StrategyContext(
        table=table,
        task=TASKS.load(task).training,
        family=family_for(task),
        pretrained=pretrained,
        seed=3,
    )
    return STRATEGIES.load(name).phases(table, context)


def test_strategies_are_known_without_a_framework() -> None:
    program = (
        "import sys\n"
        "from edgetl.train.strategies import STRATEGIES\n"
        "print([STRATEGIES.load(name).version for name in STRATEGIES.names()] != [])\n"
        "print({'torch', 'torchvision', 'numpy'} & set(sys.modules))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout == "True\nset()\n"


@pytest.mark.parametrize("name", STRATEGIES.names())
def test_names_have_hyphens_and_versions_count_from_one(name: str) -> None:
    assert "_" not in name
    assert STRATEGIES.load(name).version >= 1
    assert STRATEGIES.load(name).tasks != (), "None is for every task"


@pytest.mark.parametrize("name", STRATEGIES.names())
def test_own_keys_are_documented_have_defaults_and_are_nobody_elses(name: str) -> None:
    options = STRATEGIES.load(name).options

    assert all(field.description for field in options.model_fields.values())
    assert not set(options.model_fields) & (SHARED | TASK_KEYS)
    options()


def test_every_task_has_a_default_that_supports_it() -> None:
    for task in TASKS.names():
        assert supports(STRATEGIES.load(TASKS.load(task).training.strategy), task)


@pytest.mark.parametrize(("name", "task"), CASES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("pretrained", [True, False], ids=["pretrained", "random"])
def test_phases_are_complete_settings_with_unique_names(
    name: str, task: str, optimizer: str, *, pretrained: bool
) -> None:
    phases = phases_of(name, task, optimizer=optimizer, pretrained=pretrained)

    assert phases
    assert len({phase.name for phase in phases}) == len(phases)
    for phase in phases:
        assert phase.training.epochs >= 1
        assert phase.training.warmup_epochs < phase.training.epochs
        assert phase.training.seed == 3
        # Into a key and back: nothing is lost, and what only one task has is there.
        dumped = phase.model_dump(mode="json")["training"]
        assert type(phase.training).model_validate(dumped) == phase.training
    assert not phases[0].revert_if_worse, "there is nothing to compare the first phase with"


@pytest.mark.parametrize(("name", "task"), CASES)
def test_features_are_cached_for_the_head_alone(name: str, task: str) -> None:
    head = family_for(task).head

    for phase in phases_of(name, task):
        if phase.cached_features:
            assert TASKS.load(task).training.caches_features
            assert phase.trains_only(head)


@pytest.mark.parametrize(("name", "task"), CASES)
def test_parts_are_modules_of_a_network(name: str, task: str) -> None:
    module = family_for(task).build(width=0.25, num_classes=2, seed=0)
    modules = {each for each, _ in module.named_modules()}

    for phase in phases_of(name, task):
        assert set(phase.rates) <= modules


class Noise:
    """One batch of normalised images of 64 px with two classes."""

    def __len__(self) -> int:
        return 1

    def epoch(self, number: int) -> Iterator[LabelledBatch]:
        rng = np.random.default_rng(number)
        images = rng.standard_normal((4, 3, 64, 64), np.float32)
        yield LabelledBatch(torch.from_numpy(images), torch.tensor([0, 1, 0, 1]))


def spread(outputs: Tensor | tuple[Tensor, ...], batch: LabelledBatch) -> Tensor:
    """Return a loss that every output has a part in, whatever the task."""
    del batch
    parts = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    return torch.stack([part.square().mean() for part in parts]).sum()


def shortened(training: Training) -> Training:
    return training.model_copy(
        update={"epochs": 1, "ema": None, "warmup_epochs": 0.0, "lr": 0.01, "weight_decay": 0.1}
    )


@pytest.mark.parametrize(("name", "task"), CASES)
def test_every_phase_trains_its_parts_and_leaves_the_rest_as_it_was(name: str, task: str) -> None:
    module = family_for(task).build(width=0.25, num_classes=2, seed=0)

    for phase in phases_of(name, task):
        before = {key: value.clone() for key, value in module.state_dict().items()}
        fit(
            module,
            TrainingSetup({LABELLED: Noise()}, Supervised(spread), None, phase.rates),
            training=shortened(phase.training),
            run_context=RunContext(device="cpu", step=lambda *_: None, note=lambda _: None),
        )
        after = module.state_dict()
        changed = {key for key, value in before.items() if not torch.equal(value, after[key])}
        for part in phase.rates:
            inside = {key for key in changed if not part or key.startswith(f"{part}.")}
            assert inside, f"{phase.name} does not train {part or 'anything'}"
            changed -= inside
        assert not changed, f"{phase.name} changes what it says to leave alone"


def test_schema_has_a_table_for_every_strategy_and_task() -> None:
    tables = list(every_table(STAGES.load("finetune").options, STRATEGY_KEYS))

    assert len(tables) == len(CASES)
    assert len({table.__name__ for table in tables}) == len(tables)
    for table in tables:
        assert set(table.model_fields) >= SHARED
        assert all(field.description for field in table.model_fields.values())
