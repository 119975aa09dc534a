"""``edgetl check``: check a bundle on its device, for CI."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Literal

import click

from edgetl.api.bundles import recipe_folder
from edgetl.api.check import check
from edgetl.cli import bundles, options
from edgetl.errors import DeviceError
from edgetl.types import Provenance

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("bundle", metavar="BUNDLE|RECIPE")
@click.option("--target", required=True, metavar="NAME", help="Target whose limits must hold.")
@bundles.device
@click.option("--baseline", type=_FILE, help="Compare with this file of 'edgetl baseline update'.")
@click.option(
    "--require",
    type=click.Choice([Provenance.MEASURED.value, Provenance.EMULATED.value]),
    default=Provenance.MEASURED.value,
    show_default=True,
    help="Whether predictions on an emulated board suffice; times there are never taken.",
)
@click.option(
    "--max-drop-pp",
    type=click.FloatRange(0.0, 100.0),
    default=0.5,
    show_default=True,
    help="Largest allowed loss of accuracy against the baseline.",
)
@click.option(
    "--max-ratio",
    type=click.FloatRange(min=1.0),
    default=1.1,
    show_default=True,
    help="Largest allowed latency and size, as a multiple of the baseline's.",
)
@bundles.seconds
@options.store
@click.option("--junit", type=_FILE, metavar="FILE", help="Write JUnit XML for a CI server.")
@click.option("--markdown", type=_FILE, metavar="FILE", help="Write a table for a job's summary.")
@options.as_json
def command(  # noqa: PLR0913 - one for each option
    bundle: str,
    *,
    target: str,
    device: str | None,
    baseline: Path | None,
    require: Literal["measured", "emulated"],
    max_drop_pp: float,
    max_ratio: float,
    seconds: float,
    store_root: Path,
    junit: Path | None,
    markdown: Path | None,
    as_json: bool,
) -> None:
    """Check a bundle on a device against its target's limits, and against a baseline.

    Each case is red or green by itself. For a RECIPE, the bundle of its last run is checked, and
    the device predicts on all of its test images. Exits with 0 if no case is red, with 5 if a limit
    is missed, the bundle is worse than the baseline, or --require measured demands a value that
    could not be measured well enough, with 6 if the bundle is damaged, with 7 if the device cannot
    be reached, and with 3 if it is a different machine than the target's board.

    A case against the baseline is red only if the loss is significantly larger than allowed, so an
    acceptable build is red in at most 1 % of checks. Times that would be red are taken up to three
    times and are red if none of them is green. Times that other programs disturbed can meet a
    limit, but are never red.

    \b
    edgetl check dist/host --target host
    edgetl check dist/rpi4 --target rpi4 --device emulated:cortex-a72 --require emulated
    edgetl check images/recipe.yaml --target host --baseline baseline.json --junit check.xml
    """
    for stale in (junit, markdown):
        if stale is not None:
            stale.unlink(missing_ok=True)
    try:
        result = check(
            bundle,
            target=target,
            device=device,
            baseline=baseline,
            require=require,
            max_drop_pp=max_drop_pp,
            max_ratio=max_ratio,
            seconds=seconds,
            store=store_root,
        )
    except DeviceError as error:
        _write_error(error, bundle, target, device, junit=junit, markdown=markdown)
        raise
    _write(junit, result.junit())
    _write(markdown, result.markdown())
    if as_json:
        click.echo(json.dumps(result.as_json(), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        for line in result.lines():
            click.echo(line)
    sys.exit(result.checked.exit_code)


def _write_error(
    error: DeviceError,
    bundle: str,
    target: str,
    device: str | None,
    *,
    junit: Path | None,
    markdown: Path | None,
) -> None:
    from edgetl.config.load import load_target
    from edgetl.report.checks import error_markdown
    from edgetl.report.junit import error_xml

    address = device or load_target(target, beside=recipe_folder(bundle)).device or ""
    where = {"bundle": bundle, "target": target, "device": address}
    _write(junit, error_xml(where, str(error)))
    _write(markdown, error_markdown(where, str(error)))


def _write(path: Path | None, text: str) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
