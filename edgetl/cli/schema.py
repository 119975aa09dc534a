"""``edgetl schema``: JSON schemas with which an editor completes and checks recipes and targets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import Any, Literal

import click
from pydantic import Field, create_model

from edgetl.config.calibration import Calibration
from edgetl.config.method_keys import every_table
from edgetl.config.recipe import ModelTable, Recipe, model_tables
from edgetl.config.table import Table
from edgetl.config.target import Target
from edgetl.pipeline.planner import all_stages
from edgetl.tasks import TASKS


@click.command()
@click.argument("kind", type=click.Choice(["recipe", "target", "calibration"]), default="recipe")
def command(kind: str) -> None:
    """Print the JSON schema of a recipe (default), a target or a calibration recipe.

    \b
    edgetl schema > recipe.schema.json
    """
    if kind == "target":
        model: type = Target
    elif kind == "calibration":
        model = Calibration
    else:
        known: Any = Literal[TASKS.names()]
        description = Recipe.model_fields["task"].description
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
                tables[name] = (each, Field(default_factory=dict))
            elif issubclass(stage.options, ModelTable):
                tables[name] = (_with(refined, stage.options) | None, None)
            elif stage.options.model_fields:
                tables[name] = (stage.options, stage.options())
        model = create_model("Recipe", __base__=Recipe, **tables)
    schema = model.model_json_schema()  # type: ignore[attr-defined]
    click.echo(
        json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema, indent=2)
    )


def _refined(options: Mapping[str, type[Table]]) -> dict[str, Any]:
    """Return the field of a `refine` list whose entries are the refining stages."""
    entries: list[Any] = []
    for name, table in options.items():
        fields: dict[str, Any] = {name: (table | None, ...)}
        entries.append(create_model(f"{name}-entry", __base__=Table, **fields))
    entry: Any = reduce(or_, entries)
    description = ModelTable.model_fields["refine"].description
    return {"refine": (tuple[entry, ...], Field(default=(), description=description))}


def _with(fields: Mapping[str, Any], table: type[Table]) -> type[Table]:
    """Return `table` with `fields` in place of those of the same names."""
    return create_model(table.__name__, __base__=table, **fields)
