"""``edgetl schema``: what an editor needs to complete and check the files that users write."""

from __future__ import annotations

import json
from functools import reduce
from operator import or_
from typing import Any

import click
from pydantic import Field, create_model

from edgetl.config.calibration import Calibration
from edgetl.config.method_keys import every_table
from edgetl.config.recipe import Recipe
from edgetl.config.target import Target
from edgetl.pipeline.planner import all_stages


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
        tables: dict[str, Any] = {}
        for name, stage in all_stages().items():
            if stage.methods:
                # One table per method and task: another method's keys are wrong here, too.
                each: Any = reduce(or_, every_table(stage.options, stage.methods))
                tables[name] = (each, Field(default_factory=dict))
            elif stage.options.model_fields and stage.refine is None:
                tables[name] = (stage.options, stage.options())
        model = create_model("Recipe", __base__=Recipe, **tables)
    schema = model.model_json_schema()  # type: ignore[attr-defined]
    click.echo(
        json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema, indent=2)
    )
