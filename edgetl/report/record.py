"""The artifacts of a finished run, in the order that reports need."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgetl.config.candidate import Candidate
from edgetl.errors import StoreError, UsageError
from edgetl.facts.latency import BenchmarkFacts, Host, LatencyFacts
from edgetl.facts.package import LATENCY_INPUT, CandidateRow, PackageFacts, Part
from edgetl.facts.training import ChainFacts, ComparisonFacts, ModelFacts
from edgetl.stages import STAGES
from edgetl.store.store import Artifact, Store
from edgetl.types import Fact

RESULTS_FILE = "results.csv"
VERIFICATION_FILE = "verification.json"


@dataclass(frozen=True, slots=True)
class Run:
    """The last complete run of a recipe."""

    name: str
    """Of the recipe."""
    recipe: Mapping[str, Fact]
    """With all defaults and everything it names, in its current state."""
    artifacts: Mapping[str, Artifact]
    """By label, each after those that it was made from."""
    notice: str = ""
    """Why the current recipe may differ from the one that ran; empty if it is the same."""

    @property
    def packages(self) -> tuple[Artifact, ...]:
        """The packages, one per target."""
        return self.of_kind("bundle")

    @property
    def trained(self) -> dict[str, Artifact]:
        """The first model of every chain by its name in the recipe, and the control."""
        known = STAGES.names()
        stages = ((each, each.manifest.stage) for each in self.artifacts.values())
        roots = [each for each, stage in stages if stage in known and STAGES.load(stage).root]
        return {model_facts(root).model: root for root in roots}

    @property
    def comparison(self) -> ComparisonFacts | None:
        """How much better the student is than its control; None if nothing was compared."""
        comparisons = self.of_kind("comparison")
        return comparisons[0].read(ComparisonFacts) if comparisons else None

    @property
    def chains(self) -> tuple[ChainFacts, ...]:
        """The gain of each step of a model chain, one per chain that was evaluated."""
        return tuple(each.read(ChainFacts) for each in self.of_kind("evaluation"))

    def of_kind(self, kind: str) -> tuple[Artifact, ...]:
        """Return every artifact of `kind`, in order."""
        return tuple(each for each in self.artifacts.values() if each.manifest.kind == kind)

    def part(self, package: Artifact, candidate: Candidate, part: Part) -> Artifact | None:
        """Return an artifact of a candidate that `package` read; None if there is none."""
        return self._input(package, part.of(candidate))

    def timed(self, package: Artifact) -> Artifact | None:
        """Return the artifact with the times that `package` read; None without a device."""
        return self._input(package, LATENCY_INPUT)

    def latency(self, package: Artifact, candidate: Candidate) -> LatencyFacts | None:
        """Return the times of a candidate of `package`; None without a device."""
        timed = self.timed(package)
        return None if timed is None else timed.read(BenchmarkFacts).of(candidate)

    def _input(self, package: Artifact, name: str) -> Artifact | None:
        digest = package.manifest.inputs.get(name)
        for artifact in self.artifacts.values():
            if artifact.manifest.digest == digest:
                return artifact
        return None

    def verifications(self) -> dict[Candidate, Artifact]:
        """Return the verification of every candidate of some target, each candidate once."""
        verified: dict[Candidate, Artifact] = {}
        for package in self.packages:
            for row in package.read(PackageFacts).rows:
                verification = self.part(package, row.candidate, Part.VERIFICATION)
                if verification is not None:
                    verified.setdefault(row.candidate, verification)
        return verified


@dataclass(frozen=True, slots=True)
class Epochs:
    """The figures of a training, epoch by epoch, all phases in one row."""

    train_loss: tuple[float | None, ...]
    val_loss: tuple[float | None, ...]
    val_metric: tuple[float | None, ...]
    phases: tuple[tuple[str, int], ...]
    """Name and number of epochs of each phase."""


def last_run(store: Store, name: str, command: str) -> dict[str, Artifact]:
    """Return the artifacts that the last complete run of recipe `name` used, by label.

    Args:
        store: The store to search.
        name: Of the recipe.
        command: The command that makes them, for the remedy.

    Raises:
        UsageError: If the recipe has no complete run.
        StoreError: If an artifact is damaged or gone.
    """
    places = store.runs().get(name)
    if places is None:
        raise UsageError(f"recipe '{name}' has no finished run in {store.root}", remedy=command)
    there = {
        f"{folder.parent.name}/{folder.name}": artifact for folder, artifact in store.artifacts()
    }
    artifacts: dict[str, Artifact] = {}
    for label, place in places.items():
        artifact = there.get(place)
        if artifact is None:
            raise StoreError(f"artifact '{label}' of the last run is gone", remedy=command)
        damage = store.damage(artifact, store.memory.digest)
        if damage:
            raise StoreError(
                f"artifact '{label}' in {artifact.folder} is damaged: {damage}",
                remedy=f"run 'edgetl verify-store --repair', then {command}",
            )
        artifacts[label] = artifact
    store.memory.save()
    return artifacts


def model_facts(root: Artifact) -> ModelFacts:
    """Return the facts of the first model of a chain."""
    facts: ModelFacts = root.read(STAGES.load(root.manifest.stage).facts)
    return facts


def epochs_of(trained: Artifact) -> Epochs | None:
    """Return the figures of each epoch of a training; None if it stored none."""
    if RESULTS_FILE not in trained.manifest.files:
        return None
    with trained.file(RESULTS_FILE).open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    columns, body = rows[0], rows[1:]
    phases = [row[columns.index("phase")] for row in body]
    return Epochs(
        train_loss=_column(body, columns.index("train_loss")),
        val_loss=_column(body, columns.index("val_loss")),
        val_metric=_column(body, len(columns) - 1),
        phases=tuple((phase, phases.count(phase)) for phase in dict.fromkeys(phases)),
    )


def shown_row(package: PackageFacts) -> CandidateRow:
    """Return the candidate to show in detail: the chosen one, else the most accurate."""
    return package.chosen_row or max(package.rows, key=lambda row: row.value)


def reason_of(package: PackageFacts) -> str:
    """Return the reason for a target's verdict, in words."""
    chosen = package.chosen_row
    return package.why if chosen is None else chosen.reason


def seeds_of(run: Run) -> list[tuple[str, str, int]]:
    """Return label, dotted setting and value of every seed that an artifact depends on."""
    return [
        (label, where, value)
        for label, artifact in run.artifacts.items()
        for where, value in _seeds(artifact.manifest.settings, "")
    ]


def hosts_of(run: Run) -> list[tuple[str, Host]]:
    """Return device and fingerprint of every machine that something was timed on, each once."""
    hosts: list[tuple[str, Host]] = []
    for artifact in run.of_kind("latency"):
        latency = artifact.read(BenchmarkFacts).candidates[0].latency
        host = (latency.device, latency.host)
        if host not in hosts:
            hosts.append(host)
    return hosts


def _column(rows: Sequence[Sequence[str]], position: int) -> tuple[float | None, ...]:
    return tuple(float(row[position]) if row[position] else None for row in rows)


def _seeds(value: Fact, where: str) -> Iterator[tuple[str, int]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _seeds(inner, f"{where}.{key}" if where else key)
    elif where.rpartition(".")[2] == "seed" and isinstance(value, int):
        yield where, value
