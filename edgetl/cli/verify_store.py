"""``edgetl verify-store``: check every artifact and name the damaged ones."""

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
    """Compare every file of every artifact with its manifest.

    Exits with 6 if anything is damaged and was not removed.

    \b
    edgetl verify-store --repair
    """
    store = Store(store_root)
    damaged: dict[Path, str] = {}
    intact = 0
    for folder, artifact in store.artifacts():
        damage = store.damage(artifact, digest_file) if artifact else "its manifest cannot be read"
        if damage:
            damaged[folder] = damage
        else:
            intact += 1
    if repair:
        for folder in damaged:
            shutil.rmtree(folder)
    if as_json:
        rows = {str(folder): damage for folder, damage in damaged.items()}
        click.echo(json.dumps({"intact": intact, "damaged": rows, "removed": repair}, indent=2))
    else:
        for folder, damage in damaged.items():
            click.echo(f"{folder}: {damage}{' (removed)' if repair else ''}")
        click.echo(f"{intact} artifacts intact, {len(damaged)} damaged")
    if damaged and not repair:
        raise StoreError(
            f"{len(damaged)} of {intact + len(damaged)} artifacts are damaged",
            remedy="'edgetl verify-store --repair' removes them; the next run makes them again",
        )
