"""What every distillation method must hold, for each task that it supports."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from edgetl.config.method_keys import every_table, supports
from edgetl.nn.boxes import Grid
from edgetl.nn.yolox import RawDetections
from edgetl.stages import STAGES
from edgetl.stages._student import METHOD_KEYS
from edgetl.tasks import TASKS
from edgetl.train.distillation import METHODS, LocatedDetections, Outputs, Signal
from edgetl.train.options import DistillTable

CASES = [
    pytest.param(name, task, id=f"{name}-{task}")
    for name in METHODS.names()
    for task in METHODS.load(name).tasks or TASKS.names()
]
SHARED = set(DistillTable.model_fields)
TASK_KEYS = {key for task in TASKS.names() for key in TASKS.load(task).training.table.model_fields}

IMAGES, CLASSES, SIDE = 3, 4, 64
GRID = Grid.of(SIDE, SIDE, (8, 16, 32))
LABELS = torch.tensor([0, 3, 1])


def tensors(seed: int, *, requires_grad: bool) -> dict[Signal, list[Tensor]]:
    """Return random values of every signal, as leaves of a graph."""
    rng = torch.Generator().manual_seed(seed)

    def noise(*shape: int, shift: float = 0.0) -> Tensor:
        values = torch.randn(*shape, generator=rng) + shift
        return values.requires_grad_(requires_grad)

    count = len(GRID.strides)
    return {
        Signal.LOGITS: [noise(IMAGES, CLASSES)],
        # Confident, so that boxes count.
        Signal.DETECTIONS: [
            noise(IMAGES, count, 4),
            noise(IMAGES, count, 1, shift=3.0),
            noise(IMAGES, count, CLASSES, shift=3.0),
        ],
        Signal.FEATURES: [noise(IMAGES, 5, side, side) for side in (8, 4, 2)],
    }


def outputs(values: Mapping[Signal, list[Tensor]], signals: frozenset[Signal]) -> Outputs:
    """Return the `signals` of a network and no others."""
    known = {
        Signal.LOGITS: values[Signal.LOGITS][0],
        Signal.DETECTIONS: LocatedDetections(RawDetections(*values[Signal.DETECTIONS]), GRID),
        Signal.FEATURES: tuple(values[Signal.FEATURES]),
    }
    return Outputs({signal: known[signal] for signal in signals})


def terms(
    name: str,
    student: Mapping[Signal, list[Tensor]],
    teacher: Mapping[Signal, list[Tensor]],
    **options: object,
) -> list[Tensor]:
    method = METHODS.load(name)
    return list(
        method.terms(
            method.options.model_validate(options),
            outputs(student, method.signals),
            outputs(teacher, method.signals),
            LABELS,
        )
    )


def weights_of(name: str) -> list[str]:
    """Return the options that may be zero: the weights of the terms."""
    options = METHODS.load(name).options
    return [
        key
        for key, field in options.model_fields.items()
        if any(getattr(limit, "ge", None) == 0.0 for limit in field.metadata)
    ]


def test_methods_are_known_without_a_framework() -> None:
    program = (
        "import sys\n"
        "from edgetl.train.distillation import METHODS\n"
        "print([METHODS.load(name).version for name in METHODS.names()] != [])\n"
        "print({'torch', 'torchvision', 'numpy'} & set(sys.modules))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout == "True\nset()\n"


@pytest.mark.parametrize("name", METHODS.names())
def test_names_have_hyphens_and_versions_count_from_one(name: str) -> None:
    assert "_" not in name
    assert METHODS.load(name).version >= 1
    assert METHODS.load(name).tasks
    assert METHODS.load(name).signals


@pytest.mark.parametrize("name", METHODS.names())
def test_own_keys_are_documented_have_defaults_and_are_nobody_elses(name: str) -> None:
    options = METHODS.load(name).options

    assert all(field.description for field in options.model_fields.values())
    assert not set(options.model_fields) & (SHARED | TASK_KEYS)
    options()


def test_every_task_has_a_default_that_supports_it() -> None:
    for task in TASKS.names():
        assert supports(METHODS.load(TASKS.load(task).training.method), task)


@pytest.mark.parametrize(("name", "task"), CASES)
def test_tasks_provide_the_signals_that_a_method_needs(name: str, task: str) -> None:
    assert METHODS.load(name).signals <= TASKS.load(task).training.signals


@pytest.mark.parametrize("name", METHODS.names())
def test_loss_is_finite_and_its_gradient_reaches_the_student_alone(name: str) -> None:
    student, teacher = (tensors(seed, requires_grad=True) for seed in (0, 1))

    losses = terms(name, student, teacher)

    assert losses
    assert all(term.ndim == 0 and torch.isfinite(term) for term in losses)
    torch.stack(losses).sum().backward()
    for signal in METHODS.load(name).signals:
        assert all(value.grad is not None and value.grad.any() for value in student[signal])
        assert all(value.grad is None for value in teacher[signal])


@pytest.mark.parametrize("name", METHODS.names())
def test_student_that_equals_its_teacher_has_no_loss_and_no_gradient(name: str) -> None:
    student = tensors(0, requires_grad=True)

    losses = torch.stack(terms(name, student, tensors(0, requires_grad=False))).sum()
    losses.backward()

    assert losses.item() == pytest.approx(0.0, abs=1e-4)
    for signal in METHODS.load(name).signals:
        for value in student[signal]:
            assert value.grad is None or value.grad.abs().max() < 1e-4


@pytest.mark.parametrize("name", METHODS.names())
def test_weights_of_zero_leave_no_term(name: str) -> None:
    weights = weights_of(name)
    student, teacher = (tensors(seed, requires_grad=True) for seed in (0, 1))

    assert weights
    assert terms(name, student, teacher, **dict.fromkeys(weights, 0.0)) == []


@pytest.mark.parametrize(
    ("name", "weight"),
    [(name, weight) for name in METHODS.names() for weight in weights_of(name)],
)
def test_each_weight_alone_makes_a_loss_in_proportion_to_it(name: str, weight: str) -> None:
    student, teacher = (tensors(seed, requires_grad=True) for seed in (0, 1))
    none = dict.fromkeys(weights_of(name), 0.0)

    [once], [twice] = (
        terms(name, student, teacher, **{**none, weight: factor}) for factor in (1.0, 2.0)
    )

    assert once.item() > 0.0
    assert twice.item() == pytest.approx(2 * once.item(), rel=1e-5)


@pytest.mark.parametrize("name", METHODS.names())
def test_loss_does_not_depend_on_the_order_of_the_images(name: str) -> None:
    student, teacher = (tensors(seed, requires_grad=False) for seed in (0, 1))
    order = torch.tensor([2, 0, 1])
    method = METHODS.load(name)

    def total(rows: Tensor) -> float:
        def picked(values: Mapping[Signal, list[Tensor]]) -> dict[Signal, list[Tensor]]:
            return {signal: [value[rows] for value in parts] for signal, parts in values.items()}

        parts = method.terms(
            method.options(),
            outputs(picked(student), method.signals),
            outputs(picked(teacher), method.signals),
            LABELS[rows],
        )
        return torch.stack(list(parts)).sum().item()

    assert total(order) == pytest.approx(total(torch.arange(3)), rel=1e-5)


def test_signal_that_a_method_does_not_state_is_an_error() -> None:
    given = outputs(tensors(0, requires_grad=False), frozenset({Signal.LOGITS}))

    with pytest.raises(ValueError, match="there are no features; a method must state every signal"):
        _ = given.features


def test_schema_has_a_table_for_every_method_and_task() -> None:
    tables = list(every_table(STAGES.load("distill").options, METHOD_KEYS))

    assert len(tables) == len(CASES)
    assert len({table.__name__ for table in tables}) == len(tables)
    for table in tables:
        assert set(table.model_fields) >= SHARED
        assert all(field.description for field in table.model_fields.values())
