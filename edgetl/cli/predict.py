"""``edgetl predict``: predictions of a bundle on images."""

from __future__ import annotations

import os
from pathlib import Path

import click

from edgetl.cli import options


class _Named(click.Path):
    """A path that must not be empty, since pathlib takes an empty one for the working directory."""

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str | bytes | os.PathLike[str]:
        if not value:
            self.fail("an empty path names nothing; '.' is the folder here", param, ctx)
        return super().convert(value, param, ctx)


_PATH = _Named(path_type=Path)


@click.command()
@click.argument("bundle", type=_PATH)
@click.argument("images", type=_PATH, nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "--top",
    type=click.IntRange(min=1),
    help="Number of classes, or maximum number of objects.  [default: 1 class, all objects]",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0.0, 1.0),
    help="Minimum score of an object.  [default: the model's]",
)
@click.option(
    "--draw",
    "folder",
    type=_PATH,
    metavar="FOLDER",
    help="Write each image with its predictions into this folder.",
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
    """Print the predictions of BUNDLE on images, like the bundle's own command.

    A classifier prints classes and their probabilities; a detector prints one object per line:
    class, score, and left, top, right and bottom of its box in pixels of the image.

    \b
    edgetl predict dist/host image.jpg --top 3
    edgetl predict dist/host *.jpg --threshold 0.5 --draw out
    """
    from edgetl.runtime.bundle import check_place
    from edgetl.runtime.prediction_output import predictions, texts
    from edgetl.runtime.predictor import Predictor

    check_place(bundle)
    predictor = Predictor.open(bundle, threads)
    results = predictions(predictor, images, top=top, threshold=threshold, folder=folder)
    for text in texts(results, as_json=as_json):
        click.echo(text)
