"""What check and baseline look at: a bundle by its folder, or the one that a recipe's run made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgetl.errors import StoreError, UsageError
from edgetl.store.store import Store

if TYPE_CHECKING:  # help must not wait for numpy
    from edgetl.gate.bundle import Bundle

device = click.option(
    "--device",
    metavar="ADDRESS",
    help="Where to run it, such as ssh://pi@rpi4 or emulated:cortex-a72.",
)

seconds = click.option(
    "--seconds",
    type=click.FloatRange(min=0.0, max=600.0, min_open=True),
    default=10.0,
    show_default=True,
    help="Each of the five runs of a timing takes at least this long.",
)


def find_bundle(given: str, target: str, store: Store) -> tuple[Bundle, bool]:
    """Return the bundle that `given` names, and whether `given` is a recipe.

    Args:
        given: A bundle's folder, or a recipe.
        target: What it must have been made for; empty if that does not matter.
        store: Where a recipe's artifacts are.

    Raises:
        UsageError: If it is neither, or the recipe has no such bundle.
    """
    from edgetl.config.load import known_files
    from edgetl.gate.bundle import open_bundle

    path = Path(given)
    if path.is_dir():
        return open_bundle(path, target), False
    if path.is_file() or given in known_files("recipes"):
        return open_bundle(_of_recipe(given, target, store), target), True
    raise UsageError(
        f"'{given}' is neither the folder of a bundle nor a recipe",
        remedy="name a folder that edgetl handed over, such as dist/host, or a recipe that was run",
    )


def _of_recipe(recipe: str, target: str, store: Store) -> Path:
    """Return the folder of the bundle that the last run of `recipe` made for `target`."""
    from edgetl.facts.package import PackageFacts
    from edgetl.pipeline.job import recipe_of, recipe_stages

    stages = recipe_stages(recipe, ())
    name = recipe_of(recipe, (), stages).recipe.name
    packagers = {stage.name for stage in stages.values() if stage.makes == "bundle"}
    places = {
        place
        for place in store.runs().get(name, {}).values()
        if place.partition("/")[0] in packagers
    }
    if not places:
        raise UsageError(f"{recipe} was never run to its end here", remedy=f"edgetl run {recipe}")
    packages = [
        artifact
        for folder, artifact in store.artifacts()
        if artifact is not None and f"{folder.parent.name}/{folder.name}" in places
    ]
    if len(packages) < len(places):
        raise StoreError(
            f"the store {store.root} has lost a bundle of {recipe}", remedy=f"edgetl run {recipe}"
        )
    made = {package.read(PackageFacts).target: package for package in packages}
    wanted = target or (next(iter(made)) if len(made) == 1 else "")
    if wanted not in made:
        asked = f"no target '{target}'" if target else "several targets"
        raise UsageError(
            f"the last run of {recipe} had {asked}",
            remedy=f"--target with one of: {', '.join(made)}",
        )
    facts = made[wanted].read(PackageFacts)
    if facts.chosen is None:
        raise UsageError(
            f"the last run of {recipe} has no bundle for '{wanted}': {facts.why}",
            remedy=f"edgetl run {recipe} shows every candidate",
        )
    return made[wanted].folder / "bundle"
