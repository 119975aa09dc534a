"""``edgetl plan``: check everything and show what would run and what would be reused."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edgetl.cli import options
from edgetl.cli.survey import survey_recipe
from edgetl.errors import MissingPackageError
from edgetl.pipeline.job import recipe_stages
from edgetl.store.store import Store


@click.command()
@options.recipe
@options.overrides
@options.store
@options.as_json
def command(recipe: str, overrides: tuple[str, ...], store_root: Path, *, as_json: bool) -> None:
    """Show what a run of RECIPE would make and what it would reuse.

    Checks files, plug-ins and every combination of format and precision without making anything.
    Lists missing packages that a run needs.

    \b
    edgetl plan images/recipe.yaml
    edgetl plan parts --set student.width=0.35
    """
    stages = recipe_stages(recipe, overrides)
    survey = survey_recipe(recipe, overrides, Store(store_root), stages)
    steps = survey.steps
    if as_json:
        rows = [
            {
                "label": step.node.label,
                "stage": step.node.stage,
                "action": "reuse" if step.artifact else "run",
                "key": step.request.key if step.request else None,
            }
            for step in steps
        ]
        click.echo(json.dumps(rows, indent=2))
    else:
        for step in steps:
            if step.artifact:
                summary = stages[step.node.stage].summarise(step.artifact)
                click.echo(f"{step.node.label:<28} reuse  {summary}")
            else:
                click.echo(f"{step.node.label:<28} run")
        to_run = sum(step.artifact is None for step in steps)
        click.echo(f"{to_run} to run, {len(steps) - to_run} to reuse; no problems found")
        if survey.undecided:
            labels = ", ".join(node.label for node in survey.undecided)
            click.echo(f"further steps depend on the result of: {labels}")
    if survey.missing:
        click.echo(f"for a run: {MissingPackageError.of(survey.missing)}", err=as_json)
