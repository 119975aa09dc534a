"""Say what the teacher was good for: the student against the same student on labels alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgetl.config.table import Table
from edgetl.stages import Job, Node, NoOptions, Planned, Stage, Workspace
from edgetl.store.store import Artifact
from edgetl.types import Facts, Split

_PP = 100.0


class Settings(Table):
    """Nothing: the result depends on the two models alone."""


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    del job
    students = {node.label: node for node in made["student"]}
    if "control" not in students:
        return []
    inputs = {"student": students["distill"], "control": students["control"]}
    return [Node("compare", "compare", Settings(), inputs)]


def _run(settings: Settings, inputs: Mapping[str, Artifact], work: Workspace) -> Facts:
    del settings, work
    from edgetl.train.metrics import paired_difference, top1
    from edgetl.train.outcome import read_logits

    student, labels = read_logits(inputs["student"].folder, Split.TEST)
    control, _ = read_logits(inputs["control"].folder, Split.TEST)
    if not len(labels):
        return {"photos": 0}
    pair = paired_difference(student, control, labels)
    low, high = pair.interval()
    return {
        "photos": len(labels),
        "student": top1(student, labels).facts(),
        "control": top1(control, labels).facts(),
        "only_student_right": pair.only_first,
        "only_control_right": pair.only_second,
        "gain_pp": round(_PP * pair.value, 4),
        "low_pp": round(_PP * low, 4),
        "high_pp": round(_PP * high, 4),
    }


def _summary(facts: Facts) -> str:
    if not facts["photos"]:
        return "no test photos, so no gain can be measured"
    figures = f"gain {facts['gain_pp']:+.1f} pp [{facts['low_pp']:+.1f}, {facts['high_pp']:+.1f}]"
    if facts["low_pp"] > 0.0:
        return f"{figures}: the student is better with its teacher"
    if facts["high_pp"] < 0.0:
        return f"{figures}: the student is worse with its teacher"
    return f"{figures}: no benefit shown"


def _tools(settings: Settings) -> tuple[str, ...]:
    del settings
    return ()


STAGE = Stage(
    name="compare",
    version=1,
    needs=("student",),
    makes="comparison",
    options=NoOptions,
    plan=_plan,
    tools=_tools,
    run=_run,
    summary=_summary,
)
