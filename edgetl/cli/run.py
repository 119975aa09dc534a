"""``edgetl run``: make, verify, time and choose models; package those that meet the limits."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from edgetl.cli import options
from edgetl.cli.console import Console
from edgetl.errors import ExitCode
from edgetl.facts.dataset import DatasetFacts
from edgetl.facts.package import Outcome, PackageFacts
from edgetl.pipeline.copy_bundle import copy_bundle
from edgetl.pipeline.execute import run
from edgetl.pipeline.executors import EXECUTORS, default_executor
from edgetl.pipeline.job import load_job, recipe_stages
from edgetl.report.console_tables import candidate_table, verdict_lines, worst_error_lines
from edgetl.report.small_test import small_test_lines
from edgetl.store.store import Artifact, Store
from edgetl.types import Role, Split


@click.command("run")
@options.recipe
@options.overrides
@options.store
@click.option(
    "--dist",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("dist"),
    show_default=True,
    help="Folder for the bundles, one per target.",
)
@options.executor
@options.as_json
def command(
    recipe: str,
    overrides: tuple[str, ...],
    store_root: Path,
    dist: Path,
    executor_name: str | None,
    *,
    as_json: bool,
) -> None:
    """Make, verify, time and choose the models of RECIPE, a file or the name of a built-in one.

    Existing artifacts are reused, so a failed run can be continued. Exits with 5 if a target's
    limits are not proved to hold.

    \b
    edgetl run parts
    edgetl run images/recipe.yaml --set distill.epochs=40
    """
    executor = EXECUTORS.load(executor_name or default_executor())
    store = Store(store_root)
    stages = recipe_stages(recipe, overrides)
    job = load_job(recipe, overrides, store, stages)
    with Console(stages, quiet=as_json) as console:
        artifacts = run(job, store, stages, console, executor=executor)
    store.record_run(job.recipe.name, artifacts)
    packages: dict[str, PackageFacts] = {}
    for artifact in artifacts.values():
        if artifact.manifest.kind == "bundle":
            facts = artifact.read(PackageFacts)
            packages[facts.target] = facts
            copy_bundle(artifact, dist / facts.target)
    if as_json:
        click.echo(json.dumps(_as_json(artifacts, packages, dist), indent=2))
    else:
        click.echo("")
        verdicts = list(packages.values())
        click.echo(candidate_table(verdicts))
        for line in verdict_lines(verdicts, dist):
            click.echo(line)
        for line in worst_error_lines(verdicts, artifacts.values()):
            click.echo(line)
        for line in small_test_lines(_num_tested(artifacts), [each.limits for each in job.targets]):
            click.echo(line)
    if any(package.verdict is not Outcome.HELD for package in packages.values()):
        sys.exit(ExitCode.LIMIT_MISSED)


def _num_tested(artifacts: Mapping[str, Artifact]) -> int:
    """Return the number of images in the test split of the data."""
    datasets = [each for each in artifacts.values() if each.manifest.kind == "dataset"]
    facts = [artifact.read(DatasetFacts) for artifact in datasets]
    return sum(each.images[Split.TEST] for each in facts if each.role is Role.DATA)


def _as_json(
    artifacts: Mapping[str, Artifact], packages: Mapping[str, PackageFacts], dist: Path
) -> dict[str, object]:
    return {
        "artifacts": {
            label: {
                "folder": str(artifact.folder),
                "digest": artifact.manifest.digest,
                "facts": artifact.manifest.facts,
            }
            for label, artifact in artifacts.items()
            if artifact.manifest.kind != "bundle"
        },
        "targets": {
            target: facts.model_dump(mode="json") | {"dist": str(dist / target)}
            for target, facts in packages.items()
        },
    }
