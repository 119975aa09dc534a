"""``edgetl report``: a finished run as one HTML file, as Markdown, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import click

from edgetl.cli import options
from edgetl.errors import EdgetlError, UsageError, first_of
from edgetl.facts.package import PackageFacts
from edgetl.pipeline.execute import survey
from edgetl.pipeline.job import load_job, recipe_stages
from edgetl.report.html import page
from edgetl.report.markdown import summary
from edgetl.report.record import Run, last_run, reason_of
from edgetl.stages import Job, Stage
from edgetl.store.store import Artifact, Store
from edgetl.types import MIB, Fact

_DEFAULT_OUT = Path("report.html")
_MOST_NAMED = 3


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
    store = Store(store_root)
    stages = recipe_stages(recipe, overrides)
    job = load_job(recipe, overrides, store, stages)
    artifacts = last_run(store, job.recipe.name, f"edgetl run {recipe}")
    run = Run(
        name=job.recipe.name,
        recipe=_resolved(job, stages),
        artifacts=artifacts,
        notice=_notice(recipe, job, store, stages, artifacts),
    )
    wanted = out or (None if markdown or as_json else _DEFAULT_OUT)
    if wanted is not None:
        wanted.parent.mkdir(parents=True, exist_ok=True)
        wanted.write_text(page(run), encoding="utf-8")
    if markdown:
        click.echo(summary(run), nl=False)
    elif as_json:
        click.echo(json.dumps(_as_json(run, wanted), indent=2))
    elif wanted is not None:
        click.echo(f"{wanted}  {wanted.stat().st_size / MIB:.1f} MiB")
    if run.notice:
        click.echo(run.notice, err=True)


def _resolved(job: Job, stages: Mapping[str, Stage]) -> dict[str, Fact]:
    """Return the recipe with every default that is read, its targets and calibration in full."""
    recipe = job.recipe.model_dump(mode="json")
    if job.recipe.model is not None:
        del recipe["input"]  # the saved model brings its own
    roots = {name: stage.root for name, stage in stages.items()}
    tables = {
        name: table.model_dump(mode="json")
        for name, table in job.tables.items()
        if type(table).model_fields and ((root := roots[name]) is None or root.model in job.roots)
    }
    return {
        **recipe,
        **tables,
        "calibration": job.calibration.model_dump(mode="json"),
        "targets": [target.model_dump(mode="json") for target in job.targets],
    }


def _notice(
    recipe: str,
    job: Job,
    store: Store,
    stages: Mapping[str, Stage],
    artifacts: Mapping[str, Artifact],
) -> str:
    """Return a notice if a run of the recipe would now have other results; empty otherwise."""
    try:
        steps = survey(job, store, stages).steps
    except EdgetlError as error:
        # The report does not need the data or the device, which may be unavailable by now.
        return f"It could not be checked whether this run is up to date: {error.message}."
    used = {label: artifact.manifest.key for label, artifact in artifacts.items()}
    changed = [
        step.node.label
        for step in steps
        if step.request is not None and step.request.key != used.get(step.node.label)
    ]
    removed = sorted(set(used) - {step.node.label for step in steps})
    if not changed and not removed:
        return ""
    named = first_of([*changed, *removed], _MOST_NAMED)
    return (
        f"The recipe, the data, edgetl or a package changed after this run ({named}); "
        f"'edgetl run {recipe}' brings it up to date."
    )


def _as_json(run: Run, written: Path | None) -> dict[str, object]:
    packages = [package.read(PackageFacts) for package in run.packages]
    comparison = run.comparison
    return {
        "recipe": run.name,
        "notice": run.notice,
        "html": None if written is None else str(written),
        "targets": {
            package.target: {
                **package.model_dump(mode="json"),
                "reason": reason_of(package),
                "limits_in_words": list(package.limits.in_words().values()),
            }
            for package in packages
        },
        "comparison": None if comparison is None else comparison.model_dump(mode="json"),
        "chains": [chain.model_dump(mode="json") for chain in run.chains],
        "artifacts": {
            label: {
                "stage": artifact.manifest.stage,
                "key": artifact.manifest.key,
                "digest": artifact.manifest.digest,
                "tools": artifact.manifest.tools,
            }
            for label, artifact in run.artifacts.items()
        },
    }
