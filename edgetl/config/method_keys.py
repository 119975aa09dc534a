"""Recipe tables whose keys depend on the method that one of their keys names.

Such a table has the keys of its stage, those of the task, and those of the method. So a key of
another method is an unknown key, and the error names the method it belongs to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

from pydantic import BeforeValidator, Field, create_model

from edgetl.config.table import Table
from edgetl.errors import closest


class Method(Protocol):
    """A plug-in that adds keys to a recipe table."""

    @property
    def tasks(self) -> tuple[str, ...] | None:
        """Names of the tasks that it supports; None for all."""

    @property
    def options(self) -> type[Table]:
        """Its own keys, none of which the stage or a task has."""


@dataclass(frozen=True, slots=True)
class MethodKeys:
    """Where the keys of a table come from, beside those of its stage."""

    key: str
    """Names the method: `strategy`."""
    noun: str
    """What a method is called in messages."""
    names: Callable[[], Sequence[str]]
    """Returns the names of all methods."""
    load: Callable[[str], Method]
    """Returns the method of a name."""
    tasks: Callable[[], Sequence[str]]
    """Returns the names of all tasks."""
    task_table: Callable[[str], type[Table]]
    """Returns the keys that a task adds, whatever the method."""
    default: Callable[[str], str]
    """Returns the method of recipes that name none."""

    def names_for(self, task: str) -> list[str]:
        """Return the names of the methods that support `task`."""
        return [name for name in self.names() if supports(self.load(name), task)]


@dataclass(frozen=True, slots=True)
class Selection:
    """The keys that one recipe may have in a table."""

    table: type[Table]
    problem: str = ""
    """The problem with the name of the method; the table then has the keys of all methods."""
    elsewhere: Callable[[], Mapping[str, type[Table]]] = dict
    """Returns the keys of other methods and tasks, by the setting that a recipe needs for them."""


def supports(method: Method, task: str) -> bool:
    """Return whether `method` may be named in a recipe for `task`."""
    return method.tasks is None or task in method.tasks


def select(
    stage_table: type[Table], keys: MethodKeys, task: str | None, given: object
) -> Selection:
    """Return the keys that a recipe's table may have.

    Args:
        stage_table: The keys of the stage, `keys.key` among them.
        keys: Where the others come from.
        task: Of the recipe; None if the recipe has no usable one.
        given: The table as the recipe has it, not yet checked.
    """
    name = given.get(keys.key) if isinstance(given, Mapping) else None
    if task is None:
        return Selection(_with_all_keys(stage_table, keys))
    problem = "" if name is None else _name_problem(name, keys, task)
    if problem:
        return Selection(_with_all_keys(stage_table, keys), problem)
    chosen = keys.default(task) if name is None else str(name)

    def elsewhere() -> dict[str, type[Table]]:
        others = {each: keys.load(each).options for each in keys.names() if each != chosen}
        return {
            **{f"{keys.key}: {each}": options for each, options in others.items()},
            **{f"task: {each}": keys.task_table(each) for each in keys.tasks() if each != task},
        }

    return Selection(_with_keys_of(chosen, stage_table, keys, task), elsewhere=elsewhere)


def every_table(stage_table: type[Table], keys: MethodKeys) -> Iterator[type[Table]]:
    """Yield the table of each method for each task that it supports, for a schema."""
    for task in keys.tasks():
        for name in keys.names_for(task):
            yield _with_keys_of(name, stage_table, keys, task)


def _name_problem(name: object, keys: MethodKeys, task: str) -> str:
    """Return why `name` is no method for `task`; empty if it is one."""
    if isinstance(name, str) and name in keys.names():
        method = keys.load(name)
        if supports(method, task):
            return ""
        tasks = " and ".join(f"`task: {each}`" for each in method.tasks or ())
        what = f"{keys.noun} '{name}' is for {tasks}"
        close = ""
    else:
        what = f"unknown {keys.noun} {name!r}"
        close = closest(str(name), keys.names_for(task))
    hint = f" did you mean '{close}'?" if close else ""
    return f"{what};{hint} known for `task: {task}`: {', '.join(keys.names_for(task))}"


def _with_keys_of(name: str, stage_table: type[Table], keys: MethodKeys, task: str) -> type[Table]:
    """Return the table of a recipe that names the method `name`, or none if it is the default."""
    words = [*name.split("-"), task]
    description = stage_table.model_fields[keys.key].description
    literal: Any = Literal[name]
    if name == keys.default(task):
        # A key without a value counts as omitted.
        filled = BeforeValidator(lambda value: name if value is None else value)
        literal = Annotated[literal, filled]
        field = Field(default=name, description=description)
    else:
        field = Field(description=description)
    fields: dict[str, Any] = {keys.key: (literal, field)}
    return create_model(
        stage_table.__name__ + "".join(word.title() for word in words),
        __base__=(stage_table, keys.load(name).options, keys.task_table(task)),
        **fields,
    )


def _with_all_keys(stage_table: type[Table], keys: MethodKeys) -> type[Table]:
    """Return a table with the keys of all methods and tasks, for recipes without a usable name."""
    others = [keys.load(name).options for name in keys.names()]
    others += [keys.task_table(task) for task in keys.tasks()]
    fields: dict[str, Any] = {
        name: (field.annotation, field)
        for other in others
        for name, field in other.model_fields.items()
        if name not in stage_table.model_fields
    }
    fields[keys.key] = (object, None)
    return create_model(stage_table.__name__, __base__=stage_table, **fields)
