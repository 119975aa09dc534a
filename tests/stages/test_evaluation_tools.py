"""What computes the figures of a task enters the keys of that task's nodes, and of no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgetl.config.table import Table
from edgetl.stages import STAGES, adapt, compare, evaluate, export, import_model, verify
from edgetl.tasks import TASKS
from edgetl.types import Precision, Role


def _settings(stage: str, task: str) -> Table:
    """Return settings of a stage that measures on images."""
    made: dict[str, Table] = {
        "adapt": adapt.Settings(
            model="teacher", options=adapt.AdaptTable(), seed=0, task=task, device="cpu"
        ),
        "compare": compare.Settings(task=task),
        "evaluate": evaluate.Settings(
            model="teacher", role=Role.DATA, steps=(), transductive=(), task=task
        ),
        "import_model": import_model.Settings(files={}, folder=Path(), task=task),
        "export": export.Settings(format="onnx", nms=None, task=task),
        "verify": verify.Settings(
            model="teacher",
            format="onnx",
            precision=Precision.FP32,
            runtime="0" * 64,
            task=task,
        ),
    }
    return made[stage]


@pytest.mark.parametrize("task", TASKS.built_in())
@pytest.mark.parametrize(
    "stage", ["adapt", "compare", "evaluate", "export", "import_model", "verify"]
)
def test_tools_are_those_of_the_task_and_its_name_is_no_setting(stage: str, task: str) -> None:
    settings = _settings(stage, task)

    tools = STAGES.load(stage).tools(settings)

    assert set(TASKS.load(task).evaluation_tools) <= set(tools)
    assert ("pycocotools" in tools) == (task == "detection")
    assert "task" not in settings.model_dump(mode="json")
