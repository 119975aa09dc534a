"""What ``mkdocs build`` does beside rendering: make the reference pages, refuse old figures."""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from docs import layer_picture
from docs.command_page import command_page
from docs.recorded import problems, sections
from docs.schema_pages import schema_page
from edgetl.cli.schema import json_schema

_RECORDS = "<!-- records -->"
"""Stands where the page of measurements has the records."""
_OPENINGS = {
    "recipe": """\
The keys of a recipe, a YAML file. Unknown keys are errors, and one message lists all problems of a
file with their lines. `edgetl schema > recipe.schema.json` writes the same for an editor, and
`--set finetune.epochs=3` overrides a single value in most commands. [Concepts](../concepts.md)
explains the words; [Own images](../own-images.md) and [Own boxes](../own-boxes.md) have whole
recipes.""",
    "target": """\
The keys of `targets/NAME.yaml`: a device, the model files to try on it, and the limits that they
must meet. `edgetl targets` lists the built-in ones, and a folder `targets/` beside the recipe adds
others. `edgetl schema target` prints the schema.""",
    "calibration": """\
The keys of `calibration/NAME.yaml`: the images and the method that set the ranges of int8 files. A
recipe names one as `calibration`, and a folder `calibration/` beside it adds others.
`edgetl schema calibration` prints the schema.""",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages; fail if a recorded figure is older than its script."""
    outdated = list(problems(Path(config.docs_dir).parent))
    if outdated:
        raise PluginError("\n".join(outdated))
    pages = {
        f"reference/{kind}.md": schema_page(kind.title(), opening, json_schema(kind))
        for kind, opening in _OPENINGS.items()
    }
    pages["reference/commands.md"] = command_page()
    for place, text in pages.items():
        files.append(File.generated(config, place, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the records of the scripts and the picture of the rooms in their places."""
    del page, files
    if _RECORDS in markdown:
        markdown = markdown.replace(_RECORDS, sections(Path(config.docs_dir).parent))
    return markdown.replace(
        layer_picture.MARK, layer_picture.picture(layer_picture.rooms(markdown))
    )
