"""``edgetl lint``: what in a model file will not survive int8."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgetl.cli import options
from edgetl.errors import ExitCode
from edgetl.graph_lint import LIMIT, PIXELS, lint

if TYPE_CHECKING:
    from edgetl.graph_lint.findings import Lint

_LONGEST_NAME = 60
_WHY = {
    "output": "one int8 scale has 256 steps for all of them: the small part falls into few or none",
    "inside": "inside the network; if the file is quantized, the small part loses most of its bits",
}
_REMEDY = {
    "output": "give each part an output of its own, for example boxes (1, M, 4) and scores "
    "(1, M, K); or bring them to one unit in the graph, boxes to 0..1",
    "inside": "leave this operation in float, or train with activations that stay alike in size",
}


@click.command()
@click.argument("model", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--image",
    "images",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Run the model on this image, not on drawn pictures; may be repeated.",
)
@click.option(
    "--pixels",
    default="0..255",
    show_default=True,
    type=click.Choice(list(PIXELS)),
    help="What a float input expects of black and white.",
)
@options.as_json
def command(model: Path, *, images: tuple[Path, ...], pixels: str, as_json: bool) -> None:
    """Name what in the ONNX or TFLite file MODEL shares a scale though it differs in size.

    Ends with 0 if there is nothing, with 5 if there is. Inputs besides the picture are given
    stand-ins; these, and what could not be looked at, are told.

    \b
    edgetl lint detector.onnx
    edgetl lint detector.tflite --pixels 0..1 --image street.jpg
    """
    looked = lint(model, images, pixels=pixels)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(looked), indent=2))
    else:
        _tell(model, looked)
    if looked.findings:
        sys.exit(ExitCode.LIMIT_MISSED)


def _tell(model: Path, looked: Lint) -> None:
    for told in looked.fed:
        click.echo(told)
    for found in looked.findings:
        click.echo(f"{found.what}: parts differ {found.ratio:,.0f}-fold in range ({found.place})")
        for part in found.parts:
            lost = ", nothing is left of it" if found.step and part.reach < found.step / 2 else ""
            click.echo(f"  {_short(part.name)}: {part.lowest:.4g} to {part.highest:.4g}{lost}")
        if found.step:
            click.echo(f"  one step of the tensor is {found.step:.4g} in this file")
        click.echo(f"  {_WHY[found.place]}")
        click.echo(f"  {_REMEDY[found.place]}")
    for unseen in looked.unseen:
        click.echo(f"not looked at: {unseen.what}")
        click.echo(f"  {unseen.remedy}")
    if not looked.findings:
        what = "was looked at" if looked.unseen else "is joined"
        click.echo(f"{model}: nothing that {what} differs more than {LIMIT:.0f}-fold in range")


def _short(name: str) -> str:
    """Return the end of a name, which tells more than its beginning."""
    return name if len(name) <= _LONGEST_NAME else f"...{name[-_LONGEST_NAME:]}"
