"""``edgetl baseline``: record the figures of a good bundle, to compare later ones with."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edgetl.api.baseline import record_baseline
from edgetl.cli import bundles, options


@click.group()
def command() -> None:
    """Record the figures of a good bundle in a file, for 'edgetl check' to compare with.

    \b
    edgetl baseline update dist/host --out baseline.json
    """


@command.command()
@click.argument("bundle", metavar="BUNDLE|RECIPE")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("baseline.json"),
    show_default=True,
    help="The file to write; keep it in git.",
)
@click.option(
    "--target", default="", metavar="NAME", help="Target of the bundle, if a recipe has several."
)
@bundles.device
@bundles.seconds
@options.store
@options.as_json
def update(
    bundle: str,
    *,
    out: Path,
    target: str,
    device: str | None,
    seconds: float,
    store_root: Path,
    as_json: bool,
) -> None:
    """Write the figures that later checks compare with: accuracy, predictions, latency and size.

    Without a device, the figures are those in the bundle's manifest.

    \b
    edgetl baseline update dist/host --out baseline.json
    edgetl baseline update images/recipe.yaml --target rpi4 --device ssh://pi@rpi4
    """
    baseline = record_baseline(
        bundle, out, target=target, device=device, seconds=seconds, store=store_root
    )
    facts = {
        "out": str(out),
        "name": baseline.name,
        "target": baseline.target,
        "accuracy": baseline.accuracy.value,
        "images": baseline.accuracy.images,
        "predictions": baseline.accuracy.predictions is not None,
        "latency": baseline.latency is not None,
        "size_bytes": baseline.size_bytes,
    }
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    click.echo(
        f"{out}: {baseline.name} for {baseline.target}, {baseline.accuracy.metric} "
        f"{baseline.accuracy.value:.4g}, {baseline.size_bytes} bytes"
    )
    if baseline.accuracy.predictions is None:
        click.echo(
            "  no predictions on the test images, which only the store of the run has (--store), "
            "so accuracy will not be compared",
            err=True,
        )
    if baseline.latency is None:
        remedy = "use --device" if device is None else "run again when the device is idle"
        click.echo(
            f"  no undisturbed measured times, so latency will not be compared; {remedy}", err=True
        )
