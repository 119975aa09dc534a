"""The reference page of the command line, from click's commands."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from edgetl.cli import edgetl

_BLOCK = "\b"
"""Stands before a paragraph that click must not wrap: examples."""


def command_page() -> str:
    """Return a page in Markdown with every command, its help and its options."""
    lines = [
        "# Command line",
        "",
        "Made from the commands' own help; `edgetl COMMAND --help` prints the same.",
    ]
    for context in contexts():
        lines += ["", f"## {context.command_path}", "", *_command(context)]
    return "\n".join(lines) + "\n"


def contexts() -> Iterator[click.Context]:
    """Yield a context for `edgetl` and every command below it."""
    yield from _below(click.Context(edgetl, info_name="edgetl"))


def _below(context: click.Context) -> Iterator[click.Context]:
    yield context
    group = context.command
    if isinstance(group, click.Group):
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            if command is not None:
                yield from _below(click.Context(command, info_name=name, parent=context))


def _command(context: click.Context) -> Iterator[str]:
    """Yield usage, help and options."""
    yield "```text"
    yield " ".join([context.command_path, *context.command.collect_usage_pieces(context)])
    yield "```"
    for paragraph in inspect.cleandoc(context.command.help or "").split("\n\n"):
        yield ""
        if paragraph.startswith(_BLOCK):
            yield f"```text\n{paragraph.removeprefix(_BLOCK).strip(chr(10))}\n```"
        else:
            yield " ".join(paragraph.split())
    parameters = context.command.get_params(context)
    rows = [each.get_help_record(context) for each in parameters if "--help" not in each.opts]
    options = [row for row in rows if row and row[1]]  # the usage shows arguments
    if options:
        yield ""
        yield "| option | meaning |"
        yield "| --- | --- |"
        for names, meaning in options:
            yield f"| `{_cell(names)}` | {_cell(meaning).replace('[', chr(92) + '[')} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
