"""``edgetl schema``: what an editor needs to complete and check the files that users write."""

from __future__ import annotations

import json

import click
from pydantic import create_model

from edgetl.config.calibration import Calibration
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
        tables = {
            name: (stage.options, stage.options())
            for name, stage in all_stages().items()
            if stage.options.model_fields
        }
        model = create_model("Recipe", __base__=Recipe, **tables)  # type: ignore[call-overload]
    schema = model.model_json_schema()  # type: ignore[attr-defined]
    click.echo(
        json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema, indent=2)
    )
