"""The contract of a report section: from a finished run to a part of the HTML page.

A section is a file here, or a module of an installed package. It reads artifacts through their
typed facts and does not depend on the recipe's task: a section is omitted if the run has no
artifacts for it. The page adds the heading and the entry in the list of sections.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgetl.plugins import Slot
from edgetl.report.record import Run


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the page.

    Attributes:
        version: Raised when the same run gives a different text than before.
        title: Heading, and text of the link to it.
        position: Sections are in ascending order; built-in ones have 10, 20, ...; ties are broken
            by name.
        render: Returns the HTML below the heading, or None if the run has no content for it. Text
            from artifacts must be escaped; `edgetl.report.templating.render_template` does so.
    """

    version: int
    title: str
    position: int
    render: Callable[[Run], str | None]


SECTIONS: Slot[Section] = Slot(
    "edgetl.report.sections", "SECTION", "report section", "edgetl.report_sections"
)
