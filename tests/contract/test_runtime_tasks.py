"""What every task's file of the runtime must do."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from edgetl.runtime import tasks
from edgetl.runtime.contract import Contract
from edgetl.runtime.golden import STORED_STEP
from edgetl.runtime.inputs import TokensInput
from edgetl.runtime.model_files import ModelFile
from edgetl.runtime.tasks import Task
from edgetl.tasks import TASKS

NAMES = tasks.names()
FUNCTIONS = [name for name in vars(Task) if not name.startswith("_")]


def test_every_task_of_a_recipe_has_a_file_on_the_device() -> None:
    assert set(TASKS.names()) <= set(NAMES)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_task_defines_each_function_with_its_parameters(name: str, function: str) -> None:
    defined = inspect.signature(getattr(tasks.load(name), function))
    _, *wanted = inspect.signature(getattr(Task, function)).parameters
    assert list(defined.parameters) == wanted


@pytest.mark.parametrize("name", NAMES)
def test_contract_without_outputs_has_problems_that_name_their_key(name: str) -> None:
    contract = Contract(
        task=name,
        labels=("a",),
        format="onnx",
        files=(ModelFile("model.onnx", 1, "0" * 64),),
        precision="fp32",
        inputs=(TokensInput("tokens", "tokens", 4),),
        outputs=(),
    )
    problems = list(tasks.load(name).problems(contract))
    assert "outputs" in [key for key, _ in problems]
    assert all(what for _, what in problems)


@pytest.mark.parametrize("name", NAMES)
def test_stored_outputs_are_near_and_do_not_move_again(name: str) -> None:
    values = np.random.default_rng(0).random((2, 5), np.float32)
    stored = tasks.load(name).stored(values)
    assert stored.dtype == np.float32
    assert np.abs(stored - values).max() <= STORED_STEP
    assert np.array_equal(tasks.load(name).stored(stored), stored)
