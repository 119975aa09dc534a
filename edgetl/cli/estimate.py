"""``edgetl estimate``: estimate a model's latency on a device that is not available."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from edgetl.api.estimate import ModelEstimate, estimate
from edgetl.cli import options
from edgetl.types import Provenance

_GAP = 2


@click.command()
@click.argument(
    "models", nargs=-1, required=True, metavar="MODEL...", type=click.Path(path_type=Path)
)
@click.option(
    "--target",
    "name",
    metavar="NAME",
    help="Use profiles/NAME.json or, without this file, count instructions on the emulated board.",
)
@click.option(
    "--profile",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A file written by 'edgetl profile'.",
)
@options.as_json
def command(
    models: tuple[Path, ...], *, name: str | None, path: Path | None, as_json: bool
) -> None:
    """Estimate the latency of each MODEL, fastest first.

    A MODEL is a file (.onnx, .tflite, or OpenVINO's .xml), a model folder or a bundle. The figure
    is the median of single inferences, model only, with a band. Estimates rank models and cause
    warnings, but never meet or miss a limit: the exit code is 0 unless something cannot be read.

    \b
    edgetl estimate dist/host --target host
    edgetl estimate a.onnx b.tflite --target rpi4
    edgetl estimate model.xml --profile profiles/n100.json --json
    """
    estimates = estimate(models, target=name, profile=path)
    if as_json:
        click.echo(json.dumps([each.as_json() for each in estimates], indent=2))
    else:
        _print(estimates)


def _print(estimates: Sequence[ModelEstimate]) -> None:
    table = [("model", "format", "median ms", "band", "provenance")]
    for each in estimates:
        figures = each.estimate
        table.append(
            (
                str(each.model),
                f"{each.format} {each.precision}",
                f"{figures.ms:.2f}",
                f"{figures.low_ms:.2f} to {figures.high_ms:.2f}",
                f"{Provenance.ESTIMATED} ({figures.method})",
            )
        )
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    for line in table:
        cells = (cell.ljust(width + _GAP) for cell, width in zip(line, widths, strict=True))
        click.echo("".join(cells).rstrip())
    for basis in dict.fromkeys(each.estimate.basis for each in estimates):
        click.echo(f"  by {basis}")
    for each in estimates:
        for note in each.notes:
            click.echo(f"  {each.model}: {note}")
        for warning in each.warnings:
            click.echo(f"  {each.model}: warning: {warning}")
