"""``edgetl predict``: predictions of a bundle on images."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgetl.cli import options, print_error

if TYPE_CHECKING:  # the command line must not wait for numpy
    from edgetl.runtime.errors import ImageError


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
    help="Minimum score of a prediction.  [default: the model's]",
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
    class, score, and left, top, right and bottom of its box in pixels of the image. An image that
    cannot be read is named on standard error, the others are predicted, and the exit code is 3.

    \b
    edgetl predict dist/host image.jpg --top 3
    edgetl predict dist/host *.jpg --threshold 0.5 --draw out
    """
    from edgetl.runtime.prediction_output import predictions, texts
    from edgetl.runtime.predictor import load

    predictor = load(bundle, threads=threads)
    errors: list[ImageError] = []

    def report(error: ImageError) -> None:
        errors.append(error)
        print_error(error.message, error.remedy)

    results = predictions(
        predictor,
        images,
        top=top,
        threshold=threshold,
        folder=folder,
        report=report,
    )
    for text in texts(results, as_json=as_json, encoding=sys.stdout.encoding):
        click.echo(text)
    if errors:
        sys.exit(errors[-1].exit_code)
