"""``edgetl baseline``: keep the figures of a good bundle, for later checks to compare with."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edgetl.cli import bundles, options
from edgetl.errors import StoreError
from edgetl.store.store import Store


@click.group()
def command() -> None:
    """Keep the figures of a good bundle in a file, for 'edgetl check' to compare with.

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
    "--target", default="", metavar="NAME", help="Whose bundle, where a recipe has several."
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
    """Write what later checks compare with: accuracy and answers, latency, size.

    Without a device the figures are those of the bundle's manifest.

    \b
    edgetl baseline update dist/host --out baseline.json
    edgetl baseline update images/recipe.yaml --target rpi4 --device ssh://pi@rpi4
    """
    from edgetl.boards import require_machine
    from edgetl.config.load import load_target
    from edgetl.devices import open_device
    from edgetl.gate.baseline import make_baseline, write_baseline
    from edgetl.gate.bundle import find_images
    from edgetl.gate.case import Status
    from edgetl.gate.limits import files_case
    from edgetl.gate.measure import measure

    store = Store(store_root)
    found, is_recipe = bundles.find_bundle(bundle, target, store)
    files = files_case(found)
    if files.status is Status.FAILED:
        raise StoreError(files.reason, remedy="copy the whole folder again from where it was made")
    images = find_images(found, store)
    measurements = None
    if device is not None:
        reached = open_device(device)
        require_machine(load_target(found.manifest.target.name), reached)
        measurements = measure(
            found,
            reached,
            threads=found.manifest.target.threads,
            seconds=seconds,
            dataset=images.dataset if is_recipe and images else None,
        )
    baseline = make_baseline(found, images, measurements)
    write_baseline(baseline, out)
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
            "  no answers to the test images: they lie in the store of the run (--store), "
            "so accuracy will not be compared",
            err=True,
        )
    if baseline.latency is None:
        remedy = "give --device" if device is None else "run again when the device is quiet"
        click.echo(
            f"  no undisturbed measured times, so latency will not be compared; {remedy}", err=True
        )
