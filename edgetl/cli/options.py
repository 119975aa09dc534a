"""Arguments that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

recipe = click.argument("recipe")

overrides = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override one value of the recipe, e.g. finetune.epochs=3; may be repeated.",
)

store = click.option(
    "--store",
    "store_root",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".edgetl"),
    show_default=True,
    help="Folder of finished artifacts.",
)

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")

executor = click.option(
    "--executor",
    metavar="NAME",
    help="How stages are run: 'serial', one after the other, or 'processes', side by side; the "
    "default on more than one core.",
)
