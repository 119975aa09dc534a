"""What every task must hold, for each folder in `edgetl/tasks/`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

import pytest

from edgetl.config.limits import CLASS_LIMITS, LIMITS, ClassLimit, Limit
from edgetl.config.method_keys import supports
from edgetl.tasks import TASKS, TaskPlugin
from edgetl.train.distillation import METHODS
from edgetl.train.strategies import STRATEGIES

_ALL_LIMITS: Mapping[str, Limit | ClassLimit] = {**LIMITS, **CLASS_LIMITS}


@pytest.fixture(params=TASKS.names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def task(name: str) -> TaskPlugin:
    return TASKS.load(name)


def test_data_of_a_task_are_called_by_its_name(name: str, task: TaskPlugin) -> None:
    assert task.data.task == name


def test_tasks_are_planned_without_a_framework() -> None:
    script = (
        "import sys\n"
        "from edgetl.tasks import TASKS\n"
        "for name in TASKS.names():\n    TASKS.load(name).training.table\n"
        "print([name for name in ('torch', 'onnx', 'numpy', 'PIL') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_version_is_part_of_keys(name: str, task: TaskPlugin) -> None:
    assert TASKS.stamp(name) == {f"task {name}": str(task.version)}


def test_limits_begin_with_the_metric(task: TaskPlugin) -> None:
    evaluation = task.evaluation
    assert task.limits[0] == evaluation.metric
    assert LIMITS[task.limits[0]].title == evaluation.title
    assert {_ALL_LIMITS[limit].case for limit in task.limits} == {"accuracy"}


def test_every_limit_of_accuracy_belongs_to_a_task_and_that_of_a_metric_to_one() -> None:
    of_tasks = [limit for name in TASKS.names() for limit in TASKS.load(name).limits]
    assert set(of_tasks) == {
        limit for limit, entry in _ALL_LIMITS.items() if entry.case == "accuracy"
    }
    assert sorted(limit for limit in of_tasks if limit in LIMITS) == sorted(
        limit for limit, entry in LIMITS.items() if entry.case == "accuracy"
    )
    # Recall and precision of a class are figures of several tasks, and of each but once.
    for name in TASKS.names():
        assert len(set(TASKS.load(name).limits)) == len(TASKS.load(name).limits)


def test_default_methods_support_the_task(name: str, task: TaskPlugin) -> None:
    assert supports(STRATEGIES.load(task.training.strategy), name)
    assert supports(METHODS.load(task.training.method), name)
