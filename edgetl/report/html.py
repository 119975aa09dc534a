"""A finished run as one self-contained HTML file: no network, no script, no font."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgetl import __version__
from edgetl.facts.dataset import DatasetFacts
from edgetl.report.record import Run
from edgetl.report.sections import SECTIONS
from edgetl.report.templating import render_template
from edgetl.types import Role

_PAGE = Path(__file__).parent / "templates" / "report.html"


@dataclass(frozen=True, slots=True)
class _Rendered:
    """A section of the page."""

    name: str
    """Of the plug-in; the anchor of links."""
    title: str
    position: int
    package: str
    """Of a section from an installed package: its version and the package; else empty."""
    body: str


def page(run: Run) -> str:
    """Return the report of `run`; the same run gives the same text.

    Raises:
        PluginError: If a section of an installed package cannot be loaded.
        MissingPackageError: If a section needs a package that is not installed.
    """
    return render_template(
        _PAGE,
        run=run,
        version=__version__,
        dataset=_labelled(run),
        made_at=max(each.manifest.made_at for each in run.artifacts.values()),
        sections=sorted(_sections(run), key=lambda section: (section.position, section.name)),
    )


def _sections(run: Run) -> Iterator[_Rendered]:
    """Yield every section that has content."""
    built_in = SECTIONS.built_in()
    for name in SECTIONS.names():
        section = SECTIONS.load(name)
        ((label, version),) = SECTIONS.stamp(name).items()
        package = "" if name in built_in else f"{label} {version}"
        body = section.render(run)
        if body is not None:
            yield _Rendered(name, section.title, section.position, package, body)


def _labelled(run: Run) -> DatasetFacts | None:
    datasets = (each.read(DatasetFacts) for each in run.of_kind("dataset"))
    return next((dataset for dataset in datasets if dataset.role is Role.DATA), None)
