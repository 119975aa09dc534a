"""The model chains of a job: their roots, the steps of their `refine` lists, which is deployed."""

from __future__ import annotations

from edgetl.stages import MODEL_KIND, REFINED_KIND, STAGES, Job, Node, Planned, Refining


def deployed_name(job: Job) -> str:
    """Return the name of the model that is deployed: the last one of the recipe."""
    return list(job.roots)[-1]


def deployed_node(job: Job, made: Planned) -> Node:
    """Return the node of the torch model that is deployed, which its files are compared with."""
    return model_node(made, deployed_name(job))


def model_node(made: Planned, model: str) -> Node:
    """Return the node of a model by its name: the last one of its chain.

    Raises:
        KeyError: If it was not planned.
    """
    return {node.key: node for node in made[MODEL_KIND]}[model]


def chain_of(model: Node) -> tuple[Node, ...]:
    """Return the nodes that lead to `model`, itself included: the root first."""
    chain = [model]
    while STAGES.load(chain[0].stage).makes == REFINED_KIND:
        chain.insert(0, chain[0].inputs["model"])
    return tuple(chain)


def teacher_of(model: Node) -> Node | None:
    """Return the node of the model that the chain of `model` learned from; None without one."""
    return chain_of(model)[0].inputs.get("teacher")


def refined_label(step: Refining, stage: str) -> str:
    """Return the label of a step: ``adapt teacher``; with its number from the second one on."""
    label = f"{stage} {step.model}"
    return label if step.step == 1 else f"{label} {step.step}"
