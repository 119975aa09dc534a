"""The phases of fine-tuning, as the recipe's strategy plans them."""

from __future__ import annotations

from typing import cast

from edgetl.config.method_keys import MethodKeys
from edgetl.config.recipe import TeacherTable
from edgetl.models import FAMILIES
from edgetl.stages import Job
from edgetl.tasks import TASKS
from edgetl.train.options import NO_WEIGHTS, FinetuneTable
from edgetl.train.strategies import STRATEGIES, Phase, StrategyContext

TEACHER = "teacher"

STRATEGY_KEYS = MethodKeys(
    key="strategy",
    noun=STRATEGIES.noun,
    names=STRATEGIES.names,
    load=STRATEGIES.load,
    tasks=TASKS.names,
    task_table=lambda task: TASKS.load(task).training.table,
    default=lambda task: TASKS.load(task).training.strategy,
)


def finetune_table(job: Job) -> FinetuneTable:
    """Return the recipe's table for fine-tuning, with the keys of its strategy."""
    return cast("FinetuneTable", job.tables["finetune"])


def finetune_phases(job: Job, teacher: TeacherTable) -> tuple[Phase, ...]:
    """Return the phases in which `teacher`, whose family exists, is trained."""
    table = finetune_table(job)
    return STRATEGIES.load(table.strategy).phases(table, _context(job, teacher))


def strategies_from_scratch(job: Job, teacher: TeacherTable) -> list[str]:
    """Return the strategies for `teacher` that do not begin with the head alone."""
    context = _context(job, teacher)
    head = context.family.head
    strategies = {name: STRATEGIES.load(name) for name in STRATEGY_KEYS.names_for(job.recipe.task)}
    return [
        name
        for name, strategy in strategies.items()
        if not strategy.phases(strategy.options(), context)[0].trains_only(head)
    ]


def _context(job: Job, teacher: TeacherTable) -> StrategyContext:
    return StrategyContext(
        table=finetune_table(job),
        task=TASKS.load(job.recipe.task).training,
        family=FAMILIES.load(teacher.family),
        pretrained=teacher.weights != NO_WEIGHTS,
        seed=job.recipe.seed,
    )
