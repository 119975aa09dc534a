"""Which view of a dataset a model sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgetl.config.recipe import InputTable, StudentTable, TeacherTable
from edgetl.stages import Job, Node, Planned
from edgetl.stages._model_chain import deployed_name
from edgetl.types import Role

if TYPE_CHECKING:  # planning must not wait for numpy
    from edgetl.runtime.preprocess import Preprocess


def network_input(job: Job, table: TeacherTable | StudentTable) -> InputTable:
    """Return the input of the network in `table`: the recipe's, with its own fields on top.

    Fields that its fit does not read get one fixed value, so that equal inputs compare equal.
    """
    own = table.input or InputTable()
    update = {name: getattr(own, name) for name in own.model_fields_set}
    return without_unread(job.recipe.input.model_copy(update=update))


def without_unread(image_input: InputTable) -> InputTable:
    """Return `image_input` with one value of the fields that its fit does not read."""
    if image_input.fit == "letterbox":
        return image_input
    return image_input.model_copy(update={"pad": 0, "anchor": "centre"})


def inputs_of(job: Job) -> tuple[InputTable, ...]:
    """Return the distinct inputs of the recipe's models, that of the deployed one first."""
    inputs = (root.input(job) for root in reversed(list(job.roots.values())))
    return tuple(dict.fromkeys(each for each in inputs if each is not None))


def preprocess_of(image_input: InputTable) -> Preprocess:
    """Return how images become a network's input."""
    from edgetl.runtime.preprocess import Preprocess

    size = image_input.size
    return Preprocess(
        size, size, image_input.fit, image_input.filter, image_input.pad, image_input.anchor
    )


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
    """Return the node of the labelled images as the deployed model sees them."""
    return model_view(job, made, deployed_name(job))
