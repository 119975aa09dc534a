"""``edgetl verify-store``: read every artifact again and name the damaged ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import click

from edgetl.cli import options
from edgetl.errors import StoreError
from edgetl.hashing import digest_file
from edgetl.store.store import Store


@click.command("verify-store")
@click.option(
    "--repair", is_flag=True, help="Remove damaged artifacts, so that they are made again."
)
@options.store
@options.as_json
def command(store_root: Path, *, repair: bool, as_json: bool) -> None:
    """Read every file of every artifact again and compare it with its manifest.

    Ends with exit code 6 if anything is damaged and was not removed.

    \b
    edgetl verify-store --repair
    """
    store = Store(store_root)
    damaged: dict[Path, str] = {}
    sound = 0
    for folder, artifact in store.artifacts():
        what = store.damage(artifact, digest_file) if artifact else "its manifest cannot be read"
        if what:
            damaged[folder] = what
        else:
            sound += 1
    if repair:
        for folder in damaged:
            shutil.rmtree(folder)
    if as_json:
        rows = {str(folder): what for folder, what in damaged.items()}
        click.echo(json.dumps({"sound": sound, "damaged": rows, "removed": repair}, indent=2))
    else:
        for folder, what in damaged.items():
            click.echo(f"{folder}: {what}{' (removed)' if repair else ''}")
        click.echo(f"{sound} artifacts sound, {len(damaged)} damaged")
    if damaged and not repair:
        raise StoreError(
            f"{len(damaged)} of {sound + len(damaged)} artifacts are damaged",
            remedy="'edgetl verify-store --repair' removes them; the next run makes them again",
        )
