"""The steps of a recipe, shared by why and show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from edgetl.errors import UsageError
from edgetl.pipeline.execute import Survey, survey
from edgetl.pipeline.job import load_job
from edgetl.stages import Stage
from edgetl.store.store import Store


def survey_recipe(
    recipe: str, overrides: Sequence[str], store: Store, stages: Mapping[str, Stage]
) -> Survey:
    """Return the existing and missing steps of `recipe`; raises the errors of the pipeline."""
    job = load_job(recipe, overrides, store, stages)
    return survey(job, store, stages)


def unknown_label(label: str, recipe: str, known: Iterable[str]) -> UsageError:
    """Return the error for a label that no step of `recipe` has."""
    return UsageError(
        f"no stage of {recipe} is called '{label}'", remedy=f"known: {', '.join(known)}"
    )
