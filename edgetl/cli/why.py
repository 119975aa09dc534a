"""``edgetl why``: explain which fields changed since a stage last ran."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from edgetl.api.why import why
from edgetl.cli import options


@click.command()
@options.recipe
@click.argument("label", required=False)
@options.overrides
@options.store
@options.as_json
def command(
    recipe: str,
    label: str | None,
    overrides: tuple[str, ...],
    store_root: Path,
    *,
    as_json: bool,
) -> None:
    """Explain why the stages of RECIPE would run, or only the one called LABEL.

    \b
    edgetl why images/recipe.yaml
    edgetl why images/recipe.yaml "quantize onnx int8"
    """
    reasons = why(recipe, label, set=overrides, store=store_root)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(reason) for reason in reasons], indent=2))
        return
    for reason in reasons:
        click.echo(f"{reason.label:<28} {reason.text}")
        for change in reason.changes:
            click.echo(f"{'':<30} {change.field}: {change.before} -> {change.now}")
