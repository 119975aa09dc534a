"""``edgetl prune``: remove artifacts that no recipe's last run used."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import click

from edgetl.cli import options
from edgetl.store.store import Store
from edgetl.types import MIB


@click.command()
@click.option("--dry-run", is_flag=True, help="Only print what would be removed.")
@options.store
@options.as_json
def command(store_root: Path, *, dry_run: bool, as_json: bool) -> None:
    """Remove artifacts that no recipe's last complete run used, and leftovers of dead processes.

    \b
    edgetl prune --dry-run
    """
    folders = Store(store_root).unused()
    sizes = {
        folder: sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        for folder in folders
    }
    if not dry_run:
        for folder in folders:
            shutil.rmtree(folder)
    if as_json:
        rows = {str(folder): size for folder, size in sizes.items()}
        click.echo(json.dumps({"removed": not dry_run, "folders": rows}, indent=2))
        return
    for folder, size in sizes.items():
        click.echo(f"{folder}  {size / MIB:.1f} MiB")
    verb = "would be removed" if dry_run else "removed"
    click.echo(f"{len(folders)} folders {verb}, {sum(sizes.values()) / MIB:.1f} MiB")
