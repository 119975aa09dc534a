"""``edgetl schema``: JSON schemas with which an editor completes and checks recipes and targets."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import Any, Final, Literal

import click
from pydantic import Field, create_model

from edgetl.config.calibration import Calibration
from edgetl.config.method_keys import every_table
from edgetl.config.recipe import ModelTable, Recipe, model_tables
from edgetl.config.table import Table
from edgetl.config.target import Target
from edgetl.pipeline.planner import all_stages
from edgetl.tasks import TASKS

KINDS: Final = ("recipe", "target", "calibration")


@click.command()
@click.argument("kind", type=click.Choice(KINDS), default="recipe")
def command(kind: str) -> None:
    """Print the JSON schema of a recipe (default), a target or a calibration recipe.

    \b
    edgetl schema > recipe.schema.json
    """
    click.echo(json.dumps(json_schema(kind), indent=2))


def json_schema(kind: str) -> dict[str, Any]:
    """Return the schema of one of `KINDS`; of recipes, with the tables of installed packages."""
    models: dict[str, type[Table]] = {"target": Target, "calibration": Calibration}
    schema = (models[kind] if kind in models else _recipe_model()).model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema


def _recipe_model() -> type[Table]:
    """Return recipes with the tables of all stages, methods, tasks and roots of model chains."""
    known: Any = Literal[TASKS.names()]
    description = Recipe.model_fields["task"].description
    described: Any
    tables: dict[str, Any] = {"task": (known, Field(description=description))}
    stages = all_stages()
    refined = _refined({name: each.options for name, each in stages.items() if each.refine})
    for name, table in model_tables().items():
        described = Field(default=None, description=Recipe.model_fields[name].description)
        tables[name] = (_with(refined, table) | None, described)
    for name, stage in stages.items():
        if stage.refine:
            continue
        if stage.methods:
            # One table per method and task: another method's keys are wrong here, too.
            each: Any = reduce(or_, every_table(stage.options, stage.methods))
            described = Field(default_factory=dict, description=inspect.getdoc(stage.options))
            tables[name] = (each, described)
        elif issubclass(stage.options, ModelTable):
            tables[name] = (_with(refined, stage.options) | None, None)
        elif stage.options.model_fields:
            tables[name] = (stage.options, stage.options())
    return create_model("Recipe", __base__=Recipe, **tables)


def _refined(options: Mapping[str, type[Table]]) -> dict[str, Any]:
    """Return the field of a `refine` list whose entries are the refining stages."""
    entries: list[Any] = []
    for name, table in options.items():
        described = Field(description=inspect.getdoc(table))
        fields: dict[str, Any] = {name: (table | None, described)}
        entries.append(create_model(f"{name}-entry", __base__=Table, **fields))
    entry: Any = reduce(or_, entries)
    description = ModelTable.model_fields["refine"].description
    return {"refine": (tuple[entry, ...], Field(default=(), description=description))}


def _with(fields: Mapping[str, Any], table: type[Table]) -> type[Table]:
    """Return `table` with `fields` in place of those of the same names."""
    return create_model(table.__name__, __base__=table, **fields)
