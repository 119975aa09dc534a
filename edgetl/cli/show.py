"""``edgetl show``: list a recipe's artifacts, or show one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from edgetl.api.survey import survey_recipe, unknown_label
from edgetl.cli import options
from edgetl.errors import UsageError
from edgetl.facts.verification import VerificationFacts
from edgetl.pipeline.execute import Step
from edgetl.pipeline.job import recipe_stages
from edgetl.store.store import Artifact, Store


@click.command()
@options.recipe
@click.argument("label", required=False)
@options.overrides
@options.store
@options.as_json
def command(
    recipe: str,
    label: str | None,
    overrides: tuple[str, ...],
    store_root: Path,
    *,
    as_json: bool,
) -> None:
    """List the existing artifacts of RECIPE, or show everything about the one called LABEL.

    \b
    edgetl show images/recipe.yaml
    edgetl show images/recipe.yaml "verify onnx int8"
    """
    stages = recipe_stages(recipe, overrides)
    steps = survey_recipe(recipe, overrides, Store(store_root), stages).steps
    if label is not None:
        artifact = _named(steps, label, recipe)
        click.echo(f"# {artifact.folder}", err=True)
        click.echo(json.dumps(artifact.manifest.model_dump(mode="json"), indent=2))
        return
    existing = [(step.node, step.artifact) for step in steps if step.artifact is not None]
    if as_json:
        rows = {
            node.label: {"folder": str(artifact.folder), "facts": artifact.manifest.facts}
            for node, artifact in existing
        }
        click.echo(json.dumps(rows, indent=2))
        return
    for node, artifact in existing:
        click.echo(f"{node.label:<28} {stages[node.stage].summarise(artifact)}")
        click.echo(f"{'':<28} {artifact.folder}")
        facts = artifact.read(stages[node.stage].facts)
        if isinstance(facts, VerificationFacts) and facts.worst_errors is not None:
            click.echo(f"{'':<28} {artifact.file(facts.worst_errors)}")
    missing = len(steps) - len(existing)
    if missing:
        click.echo(f"{missing} do not exist yet: edgetl run {recipe}")


def _named(steps: Sequence[Step], label: str, recipe: str) -> Artifact:
    by_label = {step.node.label: step.artifact for step in steps}
    if label not in by_label:
        raise unknown_label(label, recipe, by_label)
    artifact = by_label[label]
    if artifact is None:
        raise UsageError(f"'{label}' does not exist yet", remedy=f"edgetl run {recipe}")
    return artifact
