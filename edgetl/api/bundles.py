"""The bundle argument of check and baseline: a bundle's folder, or a recipe whose run made one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgetl.errors import StoreError, UsageError
from edgetl.store.store import Store

if TYPE_CHECKING:  # help must not wait for numpy
    from edgetl.gate.bundle import Bundle


def recipe_folder(name: str) -> Path | None:
    """Return the folder of the recipe file `name`, which may have targets beside it, or None."""
    path = Path(name)
    return path.resolve().parent if path.is_file() else None


def find_bundle(name: str, target: str, store: Store) -> tuple[Bundle, bool]:
    """Return the bundle that `name` refers to, and whether `name` is a recipe.

    Args:
        name: A bundle's folder, or a recipe.
        target: The target that it must have been made for; empty for any.
        store: The store with the recipe's artifacts.

    Raises:
        UsageError: If it is neither, or the recipe has no such bundle.
    """
    from edgetl.config.load import known_files
    from edgetl.gate.bundle import open_bundle

    path = Path(name)
    if path.is_dir():
        return open_bundle(path, target), False
    if path.is_file() or name in known_files("recipes"):
        return open_bundle(_of_recipe(name, target, store), target), True
    raise UsageError(
        f"'{name}' is neither the folder of a bundle nor a recipe",
        remedy="name a folder that edgetl packaged, such as dist/host, or a recipe that was run",
    )


def _of_recipe(recipe: str, target: str, store: Store) -> Path:
    """Return the folder of the bundle that the last run of `recipe` made for `target`."""
    from edgetl.facts.package import BUNDLE_FOLDER, PackageFacts
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
        raise UsageError(f"{recipe} has no complete run here", remedy=f"edgetl run {recipe}")
    packages = [
        artifact
        for folder, artifact in store.artifacts()
        if artifact is not None and f"{folder.parent.name}/{folder.name}" in places
    ]
    if len(packages) < len(places):
        raise StoreError(
            f"the store {store.root} has lost a bundle of {recipe}", remedy=f"edgetl run {recipe}"
        )
    by_target = {package.read(PackageFacts).target: package for package in packages}
    selected = target or (next(iter(by_target)) if len(by_target) == 1 else "")
    if selected not in by_target:
        problem = f"no target '{target}'" if target else "several targets"
        raise UsageError(
            f"the last run of {recipe} had {problem}",
            remedy=f"use --target with one of: {', '.join(by_target)}",
        )
    facts = by_target[selected].read(PackageFacts)
    if facts.chosen is None:
        raise UsageError(
            f"the last run of {recipe} has no bundle for '{selected}': {facts.why}",
            remedy=f"edgetl run {recipe} shows every candidate",
        )
    return by_target[selected].folder / BUNDLE_FOLDER
