"""Which view of a dataset a network sees."""

from __future__ import annotations

from edgetl.config.recipe import InputTable, StudentTable, TeacherTable
from edgetl.stages import Job, Node, Planned
from edgetl.types import Role


def network_input(job: Job, table: TeacherTable | StudentTable) -> InputTable:
    """Return the input of the network in `table`: the recipe's, with its own fields on top.

    Fields that its fit does not read get one fixed value, so that equal inputs compare equal.
    """
    own = table.input or InputTable()
    update = {name: getattr(own, name) for name in own.model_fields_set}
    merged = job.recipe.input.model_copy(update=update)
    if merged.fit == "letterbox":
        return merged
    return merged.model_copy(update={"pad": 0, "anchor": "centre"})


def inputs_of(job: Job) -> tuple[InputTable, ...]:
    """Return the distinct inputs of the recipe's networks, that of the deployed one first."""
    tables = (job.recipe.student, job.recipe.teacher)
    inputs = [network_input(job, table) for table in tables if table is not None]
    return tuple(each for number, each in enumerate(inputs) if each not in inputs[:number])


def view_node(made: Planned, image_input: InputTable, *, role: Role = Role.DATA) -> Node:
    """Return the node of the view of a dataset for an input.

    Raises:
        ValueError: If it was not planned.
    """
    from edgetl.stages.view import Settings

    for node in made["view"]:
        settings = node.settings
        if (
            isinstance(settings, Settings)
            and settings.role is role
            and settings.input == image_input
        ):
            return node
    raise ValueError(f"no view of {role} at input {image_input.size} was planned")


def teacher_view(job: Job, made: Planned) -> Node:
    """Return the node of the labelled images as the teacher sees them."""
    return view_node(made, network_input(job, job.recipe.teacher))


def deployed_view(job: Job, made: Planned) -> Node:
    """Return the node of the labelled images as the deployed network sees them."""
    return view_node(made, network_input(job, job.recipe.student or job.recipe.teacher))
