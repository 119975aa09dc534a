"""``edgetl draw``: photos of small parts to try edgetl on."""

from __future__ import annotations

from pathlib import Path

import click

from edgetl.errors import UsageError
from edgetl.types import Task


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--task",
    type=click.Choice([task.value for task in Task]),
    default=Task.CLASSIFICATION.value,
    show_default=True,
    help="One part a photo in folders named by class, or scenes with boxes in YOLO files.",
)
@click.option("--photos", default=600, show_default=True, type=click.IntRange(min=60))
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0))
def command(folder: Path, *, task: str, photos: int, seed: int) -> None:
    """Write drawn photos of small parts on a conveyor, with labels, into FOLDER.

    \b
    edgetl draw photos && edgetl init photos && edgetl run photos/recipe.yaml
    edgetl draw scenes --task detection
    """
    from edgetl.data.drawn import draw_folder
    from edgetl.data.parts import CLASSES
    from edgetl.data.scenes import draw_scene_folder

    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"'{folder}' is not empty", remedy="give a folder that is new or empty")
    draw = draw_folder if task == Task.CLASSIFICATION else draw_scene_folder
    draw(folder, photos, seed)
    click.echo(f"{photos} photos of {', '.join(CLASSES)} in {folder}")
    click.echo(f"next: edgetl init {folder}")
