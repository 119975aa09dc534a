"""``edgetl predict``: what a model says of photos."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edgetl.cli import options


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument(
    "images", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="IMAGE..."
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    help="How many classes to say, or at most how many objects.  [default: 1 class, all objects]",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0.0, 1.0),
    help="Least score of an object.  [default: the model's]",
)
@click.option(
    "--draw",
    "folder",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Draw each photo with its answer there.",
)
@click.option(
    "--threads",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="Threads of one inference.",
)
@options.as_json
def command(
    bundle: Path,
    images: tuple[Path, ...],
    *,
    top: int | None,
    threshold: float | None,
    folder: Path | None,
    threads: int,
    as_json: bool,
) -> None:
    """Say what the model in BUNDLE sees on photos, as the bundle's own command does.

    A classifier says classes and their probabilities. A detector says one object a line: class,
    score, and the corners of its box in pixels of the photo, left, top, right, bottom.

    \b
    edgetl predict dist/host photo.jpg --top 3
    edgetl predict dist/host *.jpg --threshold 0.5 --draw out
    """
    from edgetl.runtime.answers import answers
    from edgetl.runtime.predictor import Predictor

    rows = []
    predictor = Predictor.open(bundle, threads)
    for answer in answers(predictor, images, top=top, threshold=threshold, folder=folder):
        rows.append(answer.row)
        if not as_json:
            click.echo("\n".join(answer.lines))
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
