"""Every artifact of the run with its key, digest and settings; seeds, and the recipe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgetl.report.record import Run, seeds_of
from edgetl.report.sections import Section
from edgetl.report.templating import render_template
from edgetl.store.store import Artifact
from edgetl.types import Fact

_TEMPLATE = Path(__file__).with_suffix(".html")


def _render(run: Run) -> str:
    return render_template(
        _TEMPLATE,
        artifacts=[_artifact(label, each) for label, each in run.artifacts.items()],
        seeds=seeds_of(run),
        recipe=_yaml(run.recipe),
        notice=run.notice,
    )


def _artifact(label: str, artifact: Artifact) -> dict[str, object]:
    manifest = artifact.manifest
    return {
        "label": label,
        "manifest": manifest,
        "settings": _yaml(manifest.settings),
        "files": manifest.files,
    }


def _yaml(value: Mapping[str, Fact]) -> str:
    import yaml

    return yaml.safe_dump(
        dict(value), sort_keys=False, allow_unicode=True, default_flow_style=None, width=88
    )


SECTION = Section(version=2, title="Lineage", position=80, render=_render)
