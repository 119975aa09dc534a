"""``edgetl lint``: find tensors of a model file that will not survive int8."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgetl.api.lint import lint
from edgetl.cli import options
from edgetl.errors import ExitCode
from edgetl.graph_lint import LIMIT, PIXELS

if TYPE_CHECKING:
    from edgetl.graph_lint.findings import Lint

_LONGEST_NAME = 60
_WHY = {
    "output": "all parts share the 256 steps of one int8 scale, of which the small part uses few",
    "clipped": "the int8 scale of this tensor does not hold them: all of them became equal",
    "inside": "inside the network; if the file is quantized, the small part loses most of its bits",
}
_REMEDY = {
    "output": "give each part a separate output, for example boxes (1, M, 4) and scores "
    "(1, M, K); or scale them to a common range in the graph, boxes to 0..1",
    "clipped": "give boxes and scores separate outputs in the float model, and quantize it again "
    "with images like those that it will see",
    "inside": "keep this operation in float, or train with activations of similar ranges",
}


@click.command()
@click.argument("model", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--image",
    "images",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Run the model on this image instead of synthetic ones; may be repeated.",
)
@click.option(
    "--pixels",
    default="0..255",
    show_default=True,
    type=click.Choice(list(PIXELS)),
    help="Values of black and white that a float input expects.",
)
@options.as_json
def command(model: Path, *, images: tuple[Path, ...], pixels: str, as_json: bool) -> None:
    """Report tensors of the ONNX or TFLite file MODEL whose parts share a scale but not a range.

    Exits with 0 if there are none and with 5 otherwise. Inputs other than the image are fed with
    placeholders; these, and parts that could not be examined, are reported.

    \b
    edgetl lint detector.onnx
    edgetl lint detector.tflite --pixels 0..1 --image street.jpg
    """
    result = lint(model, images, pixels=pixels)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(result), indent=2))
    else:
        _print(model, result)
    if result.findings:
        sys.exit(ExitCode.LIMIT_MISSED)


def _print(model: Path, result: Lint) -> None:
    for line in result.fed:
        click.echo(line)
    for finding in result.findings:
        if finding.share is None:
            difference = f"parts differ {finding.ratio:,.0f}-fold in range ({finding.place})"
        else:
            difference = f"{finding.share:.0%} of the values are cut off"
        click.echo(f"{finding.what}: {difference}")
        for part in finding.parts:
            lost = ", lost completely" if finding.step and part.reach < finding.step / 2 else ""
            click.echo(f"  {_short(part.name)}: {part.lowest:.4g} to {part.highest:.4g}{lost}")
        if finding.step:
            click.echo(f"  one step of the tensor is {finding.step:.4g} in this file")
        click.echo(f"  {_WHY[finding.place]}")
        click.echo(f"  {_REMEDY[finding.place]}")
    for unseen in result.unseen:
        click.echo(f"not examined: {unseen.what}")
        click.echo(f"  {unseen.remedy}")
    if not result.findings:
        scope = "examined parts" if result.unseen else "joined parts"
        click.echo(f"{model}: no {scope} differ more than {LIMIT:.0f}-fold in range")


def _short(name: str) -> str:
    """Return the end of a long name, which is more specific than its start."""
    return name if len(name) <= _LONGEST_NAME else f"...{name[-_LONGEST_NAME:]}"
