"""Record anew what stages make: ``python -m tests.system.stage_record``."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click

# As in tests; read when a framework is imported, which is below.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.system.stage_record import record
from tests.system.stage_record.judge import problems
from tests.system.stage_record.recipes import RECIPES


def main() -> None:
    """Run all recipes and write the record; say what differs from the one before."""
    before = record.read()
    after: record.Record = {"packages": {}, "recipes": {}}
    for recipe in RECIPES:
        recorded = before["recipes"].get(recipe, {})
        with tempfile.TemporaryDirectory(prefix="edgetl-stage-record-") as folder:
            nodes = record.make(Path(folder), recipe, recorded)
            entries = record.entries(nodes)
        after["packages"] |= record.packages(nodes)
        after["recipes"][recipe] = {entry.label: entry.content for entry in entries}
        for problem in problems(entries, recorded):
            click.echo(f"{recipe}: {problem}\n")
    record.write({**after, "packages": dict(sorted(after["packages"].items()))})
    click.echo(f"{record.FILE} is written", err=True)


if __name__ == "__main__":
    main()
