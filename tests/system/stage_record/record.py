"""The record: what each stage made of fixed inputs, by recipe and label of the node."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypedDict

import edgetl
from edgetl.hashing import digest_file
from edgetl.types import Facts
from tests.system.stage_record.condense import SOURCE, condensed
from tests.system.stage_record.fingerprint import fingerprint
from tests.system.stage_record.judge import Entry
from tests.system.stage_record.recipes import write_recipe
from tests.system.stage_record.run import Made, few_layers_installed, run_recipe

FILE = Path(__file__).parent / "record.json"
_WIDTH = 100
_INNERMOST = re.compile(r"[\[{]\s+[^\[\]{}]*?\s+[\]}]")


class Record(TypedDict):
    """The content of the file."""

    packages: dict[str, str]
    """Versions of what may change the result of a stage."""
    recipes: dict[str, dict[str, Facts]]
    """By name of the recipe and label of the node: stage, what is in the key, and the result; of a
    measured node the facts that later stages are given."""


def read() -> Record:
    """Return the record."""
    record: Record = json.loads(FILE.read_text(encoding="utf-8"))
    return record


def write(record: Record) -> None:
    """Write the record; lists and tables of plain values take one line if they fit."""
    text = _INNERMOST.sub(_joined, json.dumps(record, indent=1, ensure_ascii=False))
    FILE.write_text(f"{text}\n", encoding="utf-8")


def _joined(found: re.Match[str]) -> str:
    inside = " ".join(found[0][1:-1].split())
    line = f"{found[0][0]}{inside}{found[0][-1]}"
    return line if len(line) <= _WIDTH else found[0]


def make(folder: Path, recipe: str, recorded: Mapping[str, Facts]) -> list[Made]:
    """Run a recipe in `folder` with the measured facts of the record."""
    measured = {label: row["measured"] for label, row in recorded.items() if "measured" in row}
    with few_layers_installed():
        write_recipe(folder, recipe)
        return run_recipe(folder, measured)


def entries(nodes: Sequence[Made]) -> list[Entry]:
    """Return what the record has of the nodes of one recipe."""
    names = {edgetl.__version__: "version of edgetl", **dict.fromkeys(_sources(), SOURCE)}
    replaced = {made.node.label for made in nodes if made.is_replaced}
    rows = []
    for made in nodes:
        reads = [source.label for source in made.node.inputs.values()]
        rows.append(
            Entry(
                label=made.node.label,
                stage=made.stage.name,
                content=_content(made, names),
                reads=tuple(label for label in reads if label not in replaced),
            )
        )
        names = dict(_names_of(made)) | names
    return rows


def packages(nodes: Iterable[Made]) -> dict[str, str]:
    """Return the packages that may change the results, with their installed versions."""
    tools = {tool for made in nodes if not made.stage.measured for tool in made.tools}
    return {tool: installed_version(tool) for tool in sorted(tools)}


def installed_version(package: str) -> str:
    """Return the version, without what says how it was built; empty if it is not installed."""
    try:
        return version(package).partition("+")[0]
    except PackageNotFoundError:
        return ""


def _content(made: Made, names: Mapping[str, str]) -> Facts:
    manifest = made.artifact.manifest
    if made.stage.measured:
        return {"stage": made.stage.name, "measured": manifest.facts}
    # Any edit of the runtime is another key; the record is about what stages make.
    runtime = {str(manifest.settings.get("runtime")): "digest of edgetl/runtime"}
    return {
        "stage": made.stage.name,
        "version": manifest.version,
        "plugins": manifest.plugins,
        "settings": condensed(manifest.settings, {**names, **runtime}),
        **fingerprint(made.artifact, names),
    }


def _sources() -> Iterator[str]:
    """Yield the digests of the files of edgetl: some travel in bundles."""
    for path in Path(edgetl.__file__).parent.rglob("*.py"):
        yield digest_file(path)


def _names_of(made: Made) -> Iterator[tuple[str, str]]:
    """Yield what others call the artifact and its files by, and a name for it."""
    for manifest in (made.artifact.manifest, made.handed_on.manifest):
        yield manifest.digest, f"digest of {made.node.label}"
        yield manifest.key, f"key of {made.node.label}"
        for name, digest in manifest.files.items():
            yield digest, f"{made.node.label}/{name}"
