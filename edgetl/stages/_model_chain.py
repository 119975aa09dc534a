"""The chain of a model: its root, then the steps of its `refine` list."""

from __future__ import annotations

from edgetl.config.recipe import StudentTable, TeacherTable
from edgetl.stages import REFINED_KIND, STAGES, Job, Node, Refining
from edgetl.stages._candidates import STUDENT


def model_table(job: Job, model: str) -> TeacherTable | StudentTable:
    """Return the recipe table of a model by its name."""
    return (job.recipe.student if model == STUDENT else None) or job.recipe.teacher


def refined_label(step: Refining, stage: str) -> str:
    """Return the label of a step: ``adapt teacher``; with its number from the second one on."""
    label = f"{stage} {step.model}"
    return label if step.step == 1 else f"{label} {step.step}"


def chain_of(model: Node) -> tuple[Node, ...]:
    """Return the nodes that lead to `model`, itself included: the root first."""
    chain = [model]
    while STAGES.load(chain[0].stage).makes == REFINED_KIND:
        chain.insert(0, chain[0].inputs["model"])
    return tuple(chain)
