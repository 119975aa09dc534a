"""``edgetl generate``: synthetic images of small parts, to try edgetl."""

from __future__ import annotations

from pathlib import Path

import click

from edgetl.errors import UsageError
from edgetl.tasks import TASKS


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--task",
    type=click.Choice(TASKS.names()),
    default=TASKS.names()[0],
    show_default=True,
    help="One part per image in folders named by class, or scenes with boxes in YOLO files.",
)
@click.option(
    "--images",
    default=600,
    show_default=True,
    type=click.IntRange(min=60),
    help="Number of images, over all classes.",
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    help="Equal seeds give equal images.",
)
def command(folder: Path, *, task: str, images: int, seed: int) -> None:
    """Write labelled synthetic images of small parts on a conveyor into FOLDER.

    \b
    edgetl generate images && edgetl init images && edgetl run images/recipe.yaml
    edgetl generate scenes --task detection
    """
    from edgetl.data.synthetic.parts import CLASSES

    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"'{folder}' is not empty", remedy="name a new or empty folder")
    TASKS.load(task).data.write_synthetic(folder, images, seed)
    click.echo(f"{images} images of {', '.join(CLASSES)} in {folder}")
    click.echo(f"next: edgetl init {folder}")
