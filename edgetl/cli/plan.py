"""``edgetl plan``: check everything and show what would run and what would be reused."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edgetl.api.plan import plan
from edgetl.cli import options


@click.command()
@options.recipe
@options.overrides
@options.store
@options.as_json
def command(recipe: str, overrides: tuple[str, ...], store_root: Path, *, as_json: bool) -> None:
    """Show the data of RECIPE, and what a run would make and what it would reuse.

    Checks files, plug-ins and every combination of format and precision without making anything.
    The images are read as well, once: whatever a run would refuse before the first epoch comes in
    one message. Lists missing packages that a run needs.

    \b
    edgetl plan images/recipe.yaml
    edgetl plan parts --set student.width=0.35
    """
    result = plan(recipe, set=overrides, store=store_root, progress=True)
    if as_json:
        click.echo(json.dumps(result.as_json(), indent=2))
    else:
        for line in result.lines():
            click.echo(line)
    if result.missing:
        click.echo(result.missing_line(), err=as_json)
