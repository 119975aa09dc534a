"""``edgetl report``: a finished run as one HTML file, as Markdown, or as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edgetl.api.report import make_report
from edgetl.cli import options
from edgetl.errors import UsageError
from edgetl.types import MIB

_DEFAULT_OUT = Path("report.html")


@click.command()
@options.recipe
@options.overrides
@options.store
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"HTML file to write; default: {_DEFAULT_OUT}, but none with --markdown or --json.",
)
@click.option("--markdown", is_flag=True, help="Print a Markdown summary, for a CI job summary.")
@options.as_json
def command(
    recipe: str,
    overrides: tuple[str, ...],
    store_root: Path,
    out: Path | None,
    *,
    markdown: bool,
    as_json: bool,
) -> None:
    """Report the last complete run of RECIPE: verdicts, figures, curves, worst errors, lineage.

    The HTML file is self-contained, without scripts. It can be read on a phone, printed, and kept
    with the bundle.

    \b
    edgetl report images/recipe.yaml
    edgetl report images/recipe.yaml --out dist/report.html --markdown >> "$GITHUB_STEP_SUMMARY"
    """
    if markdown and as_json:
        raise UsageError(
            "--markdown and --json cannot be combined, as both print to standard output",
            remedy="use one of them",
        )
    report = make_report(recipe, set=overrides, store=store_root)
    wanted = out or (None if markdown or as_json else _DEFAULT_OUT)
    if wanted is not None:
        report.save(wanted)
    if markdown:
        click.echo(report.markdown(), nl=False)
    elif as_json:
        html = None if wanted is None else str(wanted)
        click.echo(json.dumps({"html": html, **report.as_json()}, indent=2))
    elif wanted is not None:
        click.echo(f"{wanted}  {wanted.stat().st_size / MIB:.1f} MiB")
    if report.notice:
        click.echo(report.notice, err=True)
