"""``edgetl targets``: the device profiles that recipes can name."""

from __future__ import annotations

import json

import click

from edgetl.cli import options
from edgetl.config.load import known_files, load_target


@click.command()
@click.argument("name", required=False)
@options.as_json
def command(name: str | None, *, as_json: bool) -> None:
    """List the targets, or show NAME whole.

    \b
    edgetl targets
    edgetl targets host
    """
    found = [load_target(known) for known in ([name] if name else sorted(known_files("targets")))]
    if as_json:
        click.echo(json.dumps([target.model_dump(mode="json") for target in found], indent=2))
        return
    for target in found:
        click.echo(f"{target.name:<10} {target.description}")
        if name:
            pairs = ", ".join(f"{kind} {precision}" for kind, precision in target.pairs())
            click.echo(f"  reached by  {target.device or 'nothing: it will be unverified'}")
            click.echo(f"  threads     {target.threads}")
            click.echo(f"  candidates  {pairs}")
            for key, value in target.limits.model_dump(exclude_none=True).items():
                click.echo(f"  limit       {key} {json.dumps(value)}")
