"""Fill the templates of a report."""

from __future__ import annotations

from pathlib import Path

from edgetl.report.formatting import FILTERS

_TEMPLATES = Path(__file__).parent / "templates"


def render_template(file: Path, **values: object) -> str:
    """Return the template in `file` with `values` filled in, which are escaped.

    The template may use the filters of `edgetl.report.formatting` and import ``macros.html``, or
    any template beside it.
    """
    # Only a report needs it.
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([file.parent, _TEMPLATES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= FILTERS
    return environment.get_template(file.name).render(values)
