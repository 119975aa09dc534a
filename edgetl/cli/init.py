"""``edgetl init``: a commented recipe next to the user's images."""

from __future__ import annotations

from pathlib import Path

import click

from edgetl.api.init import init


@click.command()
@click.argument("images", type=click.Path(path_type=Path))
@click.option("--layout", default="", help="Read this data layout where there are several.")
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Ignore these files, e.g. 'pred/*'; may be repeated.",
)
@click.option("--force", is_flag=True, help="Replace an existing recipe.")
def command(images: Path, layout: str, exclude: tuple[str, ...], *, force: bool) -> None:
    """Write a commented recipe for IMAGES, a folder or zip of labelled images, next to it.

    Folders named by class result in a recipe for classification, and so do tables with a class for
    each file; boxes in COCO, Pascal VOC, YOLO or other known files result in one for detection.

    \b
    edgetl init images                 writes images/recipe.yaml
    edgetl init parts.zip              writes parts.yaml
    edgetl init images --layout voc    where there are labels in several forms
    """
    for line in init(images, layout=layout, exclude=exclude, force=force).lines():
        click.echo(line)
