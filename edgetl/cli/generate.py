"""``edgetl generate``: synthetic images of small parts, to try edgetl."""

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
    help="One part per image in folders named by class, or scenes with boxes in YOLO files.",
)
@click.option("--images", default=600, show_default=True, type=click.IntRange(min=60))
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0))
def command(folder: Path, *, task: str, images: int, seed: int) -> None:
    """Write labelled synthetic images of small parts on a conveyor into FOLDER.

    \b
    edgetl generate images && edgetl init images && edgetl run images/recipe.yaml
    edgetl generate scenes --task detection
    """
    from edgetl.data.synthetic.part_images import write_part_folder
    from edgetl.data.synthetic.parts import CLASSES
    from edgetl.data.synthetic.scenes import write_scene_folder

    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"'{folder}' is not empty", remedy="name a new or empty folder")
    write = write_part_folder if task == Task.CLASSIFICATION else write_scene_folder
    write(folder, images, seed)
    click.echo(f"{images} images of {', '.join(CLASSES)} in {folder}")
    click.echo(f"next: edgetl init {folder}")
