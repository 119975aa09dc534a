"""``edgetl run``: make, verify, time and choose models; package those that meet the limits."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from edgetl.api.console import Console
from edgetl.api.run import run
from edgetl.cli import options
from edgetl.errors import ExitCode


@click.command("run")
@options.recipe
@options.overrides
@options.store
@click.option(
    "--dist",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("dist"),
    show_default=True,
    help="Folder for the bundles, one per target.",
)
@click.option("--quick", is_flag=True, help="Time briefly, in few and short turns.")
@options.executor
@options.as_json
def command(
    recipe: str,
    overrides: tuple[str, ...],
    store_root: Path,
    dist: Path,
    executor: str | None,
    *,
    quick: bool,
    as_json: bool,
) -> None:
    """Make, verify, time and choose the models of RECIPE, a file or the name of a built-in one.

    Existing artifacts are reused, so a failed run can be continued. Exits with 5 if a target's
    limits are not proved to hold.

    \b
    edgetl run parts
    edgetl run images/recipe.yaml --set distill.epochs=40
    """
    with Console(quiet=as_json) as console:
        result = run(
            recipe,
            set=overrides,
            store=store_root,
            dist=dist,
            quick=quick,
            executor=executor,
            progress=console,
        )
    if as_json:
        click.echo(json.dumps(result.as_json(), indent=2))
    else:
        click.echo("")
        for line in result.lines():
            click.echo(line)
    if not result.held:
        sys.exit(ExitCode.LIMIT_MISSED)
