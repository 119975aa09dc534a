"""Counts the classes of the dataset if a recipe has the table ``tally``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import cast

from edgetl.config.table import Table
from edgetl.stages import Job, Node, Planned, Stage, Workspace
from edgetl.store.store import Artifact

from .tally import TallyFacts


class TallyTable(Table):
    times: int = 1
    """What the number of classes is multiplied by."""


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    table = cast("TallyTable", job.tables["tally"])
    return [Node("tally", "tally", table, {"dataset": made["dataset"][0]})]


def _run(settings: TallyTable, inputs: Mapping[str, Artifact], work: Workspace) -> TallyFacts:
    del work
    index = json.loads(inputs["dataset"].file("index.json").read_text(encoding="utf-8"))
    return TallyFacts(classes=settings.times * len(index["classes"]))


def _tools(settings: TallyTable) -> tuple[str, ...]:
    del settings
    return ()


def _summary(facts: TallyFacts) -> str:
    return f"{facts.classes} classes"


STAGE = Stage(
    name="tally",
    version=1,
    needs=("dataset",),
    makes="tally",
    options=TallyTable,
    plan=_plan,
    tools=_tools,
    facts=TallyFacts,
    run=_run,
    summary=_summary,
)
