"""``edgetl draw``: photos of small parts to try edgetl on."""

from __future__ import annotations

from pathlib import Path

import click

from edgetl.errors import UsageError


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--photos", default=600, show_default=True, type=click.IntRange(min=60))
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0))
def command(folder: Path, photos: int, seed: int) -> None:
    """Write drawn photos of small parts on a conveyor into FOLDER, one folder per class.

    \b
    edgetl draw photos && edgetl init photos && edgetl run photos/recipe.yaml
    """
    from edgetl.data.drawn import draw_folder
    from edgetl.data.parts import CLASSES

    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"'{folder}' is not empty", remedy="give a folder that is new or empty")
    draw_folder(folder, photos, seed)
    click.echo(f"{photos} photos of {', '.join(CLASSES)} in {folder}")
    click.echo(f"next: edgetl init {folder}")
