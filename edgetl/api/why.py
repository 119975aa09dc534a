"""``edgetl.why``: explain which fields changed since a stage last ran."""

from __future__ import annotations

from edgetl.api.arguments import (
    PathLike,
    Settings,
    as_optional_text,
    as_overrides,
    as_path,
    as_recipe,
)
from edgetl.api.survey import survey_recipe, unknown_label
from edgetl.pipeline.job import recipe_stages
from edgetl.pipeline.why import Reason, explain
from edgetl.store.store import Store


def why(
    recipe: PathLike,
    label: str | None = None,
    *,
    set: Settings | None = None,  # noqa: A002 - as the option is called
    store: PathLike = ".edgetl",
) -> tuple[Reason, ...]:
    """Explain for each step of a recipe why it would run, or that it is reused.

    Args:
        recipe: A YAML file, or the name of a built-in recipe such as ``parts``.
        label: Explain only the step of this label, such as ``verify onnx int8``.
        set: Values that replace those of the recipe: ``{"distill.epochs": 40}``.
        store: Folder of finished artifacts.

    Raises:
        UsageError: If an argument is of the wrong type, or no step has this label.
        ConfigError: With all problems of the recipe, its targets and its calibration.
        DataError: If the images or labels cannot be used.
        StoreError: If an artifact that would be reused is damaged.
    """
    name, overrides = as_recipe(recipe), as_overrides(set)
    wanted, kept = as_optional_text("label", label), Store(as_path("store", store))
    steps = survey_recipe(name, overrides, kept, recipe_stages(name, overrides)).steps
    reasons = explain(steps, kept)
    if wanted is None:
        return reasons
    selected = tuple(reason for reason in reasons if reason.label == wanted)
    if not selected:
        raise unknown_label(wanted, name, (step.node.label for step in steps))
    return selected
