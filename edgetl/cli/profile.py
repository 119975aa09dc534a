"""``edgetl profile``: measure the cost of operations on a device, for estimates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgetl.api.profile import DEFAULT_TARGET, profile, profile_path
from edgetl.cli import options
from edgetl.runtime import engines

if TYPE_CHECKING:  # help must not wait for numpy
    from edgetl.estimator.cost_profile import CostProfile


@click.command()
@click.option("--device", "address", metavar="ADDRESS", help="Default: the target's own, or local.")
@click.option(
    "--target",
    "name",
    metavar="NAME",
    help="The device's target, whose candidates and threads are timed. Default: host.",
)
@click.option("--threads", type=click.IntRange(1, 256), help="Default: the target's.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(engines.formats()),
    help="Time only this format; may be repeated.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Default: profiles/<target>.json.",
)
@options.as_json
def command(
    address: str | None,
    *,
    name: str | None,
    threads: int | None,
    formats: tuple[str, ...],
    out: Path | None,
    as_json: bool,
) -> None:
    """Time a suite of small networks on a device and derive the cost of operations there.

    Networks of the blocks that real students consist of are exported and quantized on this machine
    and timed on the device, one inference at a time; prices are fitted to the times. Nothing else
    should run on the device during this time. Emulated devices are refused: their times mean
    nothing.

    \b
    edgetl profile
    edgetl profile --target rpi4 --device ssh://pi@raspberrypi
    edgetl profile --device local --format tflite --threads 2 --out two-threads.json
    """
    written = out or profile_path(name or DEFAULT_TARGET)
    costs = profile(
        name,
        device=address,
        threads=threads,
        formats=formats,
        out=out,
        log=None if as_json else click.echo,
    )
    if as_json:
        click.echo(json.dumps(costs.model_dump(mode="json"), indent=2))
    else:
        _print(costs, written)


def _print(costs: CostProfile, path: Path) -> None:
    click.echo(f"{path}: {costs.host.get('processor') or costs.device}, ", nl=False)
    click.echo(f"{costs.threads} thread(s)")
    for fit in costs.fits:
        percent = 100 * (fit.band - 1)
        click.echo(
            f"  {fit.format:<9}{fit.precision:<5} {len(fit.networks)} networks, {fit.engine}; "
            f"{fit.coverage:.0%} of them, when held out, within +{percent:.0f} %"
        )
    disturbed = list(costs.disturbed())
    if disturbed:
        total = sum(len(fit.networks) for fit in costs.fits)
        click.echo(
            f"other programs disturbed {len(disturbed)} of {total} timings in every round, so "
            "estimates will be too high; the file names them. Stop the programs and run again"
        )
    click.echo(f"to use it: edgetl estimate MODEL --profile {path}")
