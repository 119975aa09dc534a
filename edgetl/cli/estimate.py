"""``edgetl estimate``: estimate a model's latency on a device that is not available."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgetl.cli import options
from edgetl.config.load import load_target
from edgetl.config.target import Target
from edgetl.errors import UsageError
from edgetl.types import Facts, Provenance

if TYPE_CHECKING:  # help must not wait for numpy
    from edgetl.estimator.cost_profile import CostProfile
    from edgetl.estimator.graph import Graph
    from edgetl.estimator.predict import Prediction

_GAP = 2


@dataclass(frozen=True, slots=True)
class _Row:
    """One model and its prediction."""

    path: Path
    graph: Graph
    prediction: Prediction

    def as_json(self, warnings: Sequence[str]) -> Facts:
        """Return plain JSON."""
        return {
            "model": str(self.path),
            "format": self.graph.format,
            "precision": self.graph.precision.value,
            "provenance": Provenance.ESTIMATED.value,
            **dataclasses.asdict(self.prediction.estimate),
            "notes": list(self.prediction.notes),
            "warnings": list(warnings),
        }


@click.command()
@click.argument(
    "models", nargs=-1, required=True, metavar="MODEL...", type=click.Path(path_type=Path)
)
@click.option(
    "--target",
    "name",
    metavar="NAME",
    help="Use profiles/NAME.json or, without this file, count instructions on the emulated board.",
)
@click.option(
    "--profile",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A file written by 'edgetl profile'.",
)
@options.as_json
def command(
    models: tuple[Path, ...], *, name: str | None, path: Path | None, as_json: bool
) -> None:
    """Estimate the latency of each MODEL, fastest first.

    A MODEL is a file (.onnx, .tflite, or OpenVINO's .xml), a model folder or a bundle. The figure
    is the median of single inferences, model only, with a band. Estimates rank models and cause
    warnings, but never meet or miss a limit: the exit code is 0 unless something cannot be read.

    \b
    edgetl estimate dist/host --target host
    edgetl estimate a.onnx b.tflite --target rpi4
    edgetl estimate model.xml --profile profiles/n100.json --json
    """
    if name is None and path is None:
        raise UsageError(
            "neither a target nor a profile was given",
            remedy="edgetl estimate MODEL --target NAME; 'edgetl targets' lists the targets",
        )
    from edgetl.devices import check_address
    from edgetl.estimator.cost_profile import FOLDER, load_profile

    target = load_target(name, check_address=check_address) if name else None
    kept = path or FOLDER / f"{name}.json"
    profile = load_profile(kept) if path or kept.is_file() else None
    rows = sorted(
        (_row(each, profile, target) for each in models),
        key=lambda row: row.prediction.estimate.ms,
    )
    warnings = [tuple(_warnings(row, profile, target)) for row in rows]
    if as_json:
        data = [row.as_json(lines) for row, lines in zip(rows, warnings, strict=True)]
        click.echo(json.dumps(data, indent=2))
        return
    _print(rows, warnings)


def _row(path: Path, profile: CostProfile | None, target: Target | None) -> _Row:
    from edgetl.estimator.graph import read_graph
    from edgetl.estimator.predict import Prediction, estimate_by_profile, find_model
    from edgetl.graph_lint import require_runnable

    model = find_model(path)
    graph = read_graph(model)
    require_runnable(model)
    if target is not None and graph.format not in target.files():
        raise UsageError(
            f"{path} is for '{graph.format}', which target '{target.name}' does not offer; it "
            f"offers {', '.join(sorted(target.files()))}",
            remedy="use a file of one of these formats, or add the format to `candidates` in "
            f"targets/{target.name}.yaml",
        )
    if profile is not None:
        return _Row(path, graph, estimate_by_profile(graph, profile))
    if target is None:
        raise TypeError("neither a profile nor a target")
    from edgetl.estimator.instructions import estimate_by_instructions

    try:
        estimate = estimate_by_instructions(model, target)
    except UsageError as error:
        raise UsageError(
            f"profiles/{target.name}.json does not exist, and instructions cannot replace it: "
            f"{error.message}",
            remedy=f"edgetl profile --target {target.name} --device "
            f"{target.device or 'ssh://user@host'}",
        ) from error
    return _Row(path, graph, Prediction(estimate, ()))


def _warnings(row: _Row, profile: CostProfile | None, target: Target | None) -> Iterator[str]:
    """Yield reasons to distrust the estimate, or to expect a missed limit."""
    if target is None:
        return
    if profile is not None and profile.threads != target.threads:
        yield (
            f"the profile was made with {profile.threads} thread(s), but {target.name} uses "
            f"{target.threads}"
        )
    if profile is not None and target.board is not None:
        yield from _other_engine(row, profile, target)
    limit = target.limits.p95_ms
    estimate = row.prediction.estimate
    if limit is not None and estimate.high_ms >= limit:
        relation = "lies above" if estimate.low_ms > limit else "reaches"
        yield (
            f"the band {relation} the limit p95_ms {limit:g} of {target.name}; only a measurement "
            "can decide: edgetl check BUNDLE --target "
            f"{target.name} --device {target.device or 'ssh://user@host'}"
        )


def _other_engine(row: _Row, profile: CostProfile, target: Target) -> Iterator[str]:
    fit = profile.fit(row.graph.format, row.graph.precision)
    if fit is None or target.board is None:
        return
    package, _, timed = fit.engine.partition(" ")
    known = {
        system.engines[package] for system in target.board.systems if package in system.engines
    }
    if known and timed not in known:
        yield (
            f"the profile timed {fit.engine}, but {target.name} has {' or '.join(sorted(known))}"
        )


def _print(rows: Sequence[_Row], warnings: Sequence[Sequence[str]]) -> None:
    table = [("model", "format", "median ms", "band", "provenance")]
    for row in rows:
        estimate = row.prediction.estimate
        table.append(
            (
                str(row.path),
                f"{row.graph.format} {row.graph.precision}",
                f"{estimate.ms:.2f}",
                f"{estimate.low_ms:.2f} to {estimate.high_ms:.2f}",
                f"{Provenance.ESTIMATED} ({estimate.method})",
            )
        )
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    for line in table:
        cells = (cell.ljust(width + _GAP) for cell, width in zip(line, widths, strict=True))
        click.echo("".join(cells).rstrip())
    for basis in dict.fromkeys(row.prediction.estimate.basis for row in rows):
        click.echo(f"  by {basis}")
    for row, lines in zip(rows, warnings, strict=True):
        for note in row.prediction.notes:
            click.echo(f"  {row.path}: {note}")
        for warning in lines:
            click.echo(f"  {row.path}: warning: {warning}")
