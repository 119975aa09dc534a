"""Counts the classes of the dataset if a recipe has the table ``tally``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import cast

from edgetl.config.table import Table
from edgetl.stages import Job, Node, Planned, Stage, Workspace
from edgetl.store.store import Artifact
from edgetl.types import Facts


class TallyTable(Table):
    times: int = 0
    """What the number of classes is multiplied by; with 0 nothing is counted."""


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    table = cast("TallyTable", job.tables["tally"])
    inputs = {"dataset": made["dataset"][0]}
    return [Node("tally", "tally", table, inputs)] if table.times else []


def _run(settings: TallyTable, inputs: Mapping[str, Artifact], work: Workspace) -> Facts:
    del work
    index = json.loads(inputs["dataset"].file("index.json").read_text(encoding="utf-8"))
    return {"classes": settings.times * len(index["classes"])}


def _tools(settings: TallyTable) -> tuple[str, ...]:
    del settings
    return ()


def _summary(facts: Facts) -> str:
    return f"{facts['classes']} classes"


STAGE = Stage(
    name="tally",
    version=1,
    needs=("dataset",),
    makes="tally",
    options=TallyTable,
    plan=_plan,
    tools=_tools,
    run=_run,
    summary=_summary,
)
