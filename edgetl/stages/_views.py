"""Which view of a dataset a model sees."""

from __future__ import annotations

from edgetl.config.recipe import InputTable, StudentTable, TeacherTable
from edgetl.stages import Job, Node, Planned
from edgetl.stages._model_chain import deployed_name
from edgetl.types import Role


def network_input(job: Job, table: TeacherTable | StudentTable) -> InputTable:
    """Return what the network in `table` sees: the recipe's input, with the fields of its own.

    Fields that its fit does not read have one value, so that equal inputs are equal.
    """
    own = table.input or InputTable()
    update = {name: getattr(own, name) for name in own.model_fields_set}
    merged = job.recipe.input.model_copy(update=update)
    if merged.fit == "letterbox":
        return merged
    return merged.model_copy(update={"pad": 0, "anchor": "centre"})


def inputs_of(job: Job) -> tuple[InputTable, ...]:
    """Return the inputs of the recipe's models, each once, the deployed one's first."""
    inputs = (root.input(job) for root in reversed(list(job.roots.values())))
    return tuple(dict.fromkeys(each for each in inputs if each is not None))


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


def model_view(job: Job, made: Planned, model: str, *, role: Role = Role.DATA) -> Node:
    """Return the node of a dataset as the recipe's model of that name sees it.

    Raises:
        ValueError: If it was not planned, or it is not known what the model sees.
    """
    image_input = job.roots[model].input(job)
    if image_input is None:
        raise ValueError(f"it is not known what '{model}' sees; the check should have refused it")
    return view_node(made, image_input, role=role)


def deployed_view(job: Job, made: Planned) -> Node:
    """Return the node of the labelled images as the model sees them that is deployed."""
    return model_view(job, made, deployed_name(job))
