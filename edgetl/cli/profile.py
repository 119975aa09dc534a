"""``edgetl profile``: measure the cost of operations on a device, for estimates."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgetl.cli import options
from edgetl.config.load import load_target
from edgetl.config.target import Target
from edgetl.devices import Device, check_address, open_device
from edgetl.errors import UsageError
from edgetl.runtime import engines
from edgetl.types import Precision

if TYPE_CHECKING:  # help must not wait for numpy
    from edgetl.estimator.cost_profile import CostProfile

_LOCAL = "local"
_HOST = "host"


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
    target, device = _which(address, name, formats, has_out=out is not None)
    pairs = [
        (each.format, each.precision)
        for each in target.variants()
        if each.provider == engines.CPU and (not formats or each.format in formats)
    ]
    path = out or Path("profiles") / f"{target.name}.json"
    profile = _profile(target, device, pairs, threads or target.threads, quiet=as_json)

    from edgetl.estimator.cost_profile import save_profile

    save_profile(profile, path)
    if as_json:
        click.echo(json.dumps(profile.model_dump(mode="json"), indent=2))
    else:
        _print(profile, path)


def _which(
    address: str | None, name: str | None, formats: Sequence[str], *, has_out: bool
) -> tuple[Target, Device]:
    """Return the target and the device."""
    named = open_device(address) if address else None
    if name is None and address not in {None, _LOCAL} and not has_out:
        raise UsageError(
            f"the target of device '{address}' is unknown, and profiles are named after targets",
            remedy=f"edgetl profile --device {address} --target NAME; 'edgetl targets' lists them",
        )
    target = load_target(name or _HOST, check_address=check_address)
    offered = dict.fromkeys(
        each.format for each in target.variants() if each.provider == engines.CPU
    )
    for each in formats:
        if each not in offered:
            raise UsageError(
                f"target '{target.name}' does not offer '{each}'; it offers {', '.join(offered)}",
                remedy="use one of these formats, or add it to `candidates` in "
                f"targets/{target.name}.yaml",
            )
    device = named or (open_device(target.device) if target.device else None)
    if device is None:
        raise UsageError(
            f"targets/{target.name}.yaml names no device",
            remedy=f"edgetl profile --target {target.name} --device ssh://user@host",
        )
    return target, device


def _profile(
    target: Target,
    device: Device,
    pairs: Sequence[tuple[str, Precision]],
    threads: int,
    *,
    quiet: bool,
) -> CostProfile:
    from edgetl.boards import compare, probe, require
    from edgetl.estimator.profiling import PRECISIONS, profile_device
    from edgetl.estimator.timing import refuse_emulated

    def log(line: str) -> None:
        if not quiet:
            click.echo(line)

    refuse_emulated(device)
    if target.board is not None:
        facts = probe(device, target)
        require(target, device, facts, compare(target, facts))
    timed = [pair for pair in pairs if pair[1] in PRECISIONS]
    with tempfile.TemporaryDirectory(prefix="edgetl-profile-") as folder:
        return profile_device(device, timed, threads=threads, work=Path(folder), log=log)


def _print(profile: CostProfile, path: Path) -> None:
    click.echo(f"{path}: {profile.host.get('processor') or profile.device}, ", nl=False)
    click.echo(f"{profile.threads} thread(s)")
    for fit in profile.fits:
        percent = 100 * (fit.band - 1)
        click.echo(
            f"  {fit.format:<9}{fit.precision:<5} {len(fit.networks)} networks, {fit.engine}; "
            f"{fit.coverage:.0%} of them, when held out, within +{percent:.0f} %"
        )
    disturbed = list(profile.disturbed())
    if disturbed:
        total = sum(len(fit.networks) for fit in profile.fits)
        click.echo(
            f"other programs disturbed {len(disturbed)} of {total} timings in every round, so "
            "estimates will be too high; the file names them. Stop the programs and run again"
        )
    click.echo(f"to use it: edgetl estimate MODEL --profile {path}")
