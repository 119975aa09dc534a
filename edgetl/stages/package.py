"""Choose a target's model and write everything that the device needs into one folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from pydantic import Field

from edgetl import __version__
from edgetl.config.candidate import Candidate
from edgetl.config.limits import LIMITS, Figures, Limits, Source
from edgetl.config.table import Table
from edgetl.config.target import Target
from edgetl.errors import Problem
from edgetl.evaluation.judged import figures_of
from edgetl.exporters import EXPORTERS
from edgetl.facts.bundle import BundleManifest, Origin
from edgetl.facts.latency import BenchmarkFacts, LatencyFacts, rounds_of
from edgetl.facts.package import (
    BUNDLE_FOLDER,
    LATENCY_INPUT,
    CandidateRow,
    Outcome,
    PackageFacts,
    Part,
    Verdict,
)
from edgetl.facts.verification import VerificationFacts
from edgetl.hashing import digest_folder
from edgetl.runtime.engines import CPU
from edgetl.stages import MODEL_KIND, Job, Node, NoOptions, Planned, Stage, Workspace
from edgetl.stages._candidates import (
    Timing,
    candidates_of,
    file_node,
    float_node,
    node_of,
    runtime_digest,
    set_provider,
)
from edgetl.stages._model_chain import chain_of, deployed_name, model_node
from edgetl.stages._model_folder import mib
from edgetl.stages._selection import Judgement, Measured, Selection, choose
from edgetl.stages._views import deployed_view
from edgetl.store.store import Artifact
from edgetl.tasks import TASKS
from edgetl.types import Precision


class Settings(Table):
    """What a package depends on in addition to its inputs."""

    recipe: str
    """Name of the model."""
    model: str
    """Name of the deployed network."""
    target: Target
    runtime: str
    """Digest of the runtime's files, which are part of the bundle."""
    task: str = Field(exclude=True)
    """Enters the key by its file of the runtime alone."""


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    sources = {"dataset": deployed_view(job, made), **_models(job, made)}
    nodes: list[Node] = []
    for target in job.targets:
        settings = Settings(
            recipe=job.recipe.name,
            model=deployed_name(job),
            target=target,
            runtime=runtime_digest(job, target.files()),
            task=job.recipe.task,
        )
        inputs = sources | _inputs(target, list(candidates_of(job, target)), made)
        nodes.append(Node("package", f"package {target.name}", settings, inputs, key=target.name))
    return nodes


def _models(job: Job, made: Planned) -> dict[str, Node]:
    """Return every model of the chains: the last one by its name, those before it with a number."""
    models: dict[str, Node] = {}
    for name in job.roots:
        *before, last = chain_of(model_node(made, name))
        models |= {f"{name} {position}": node for position, node in enumerate(before)}
        models[name] = last
    return models


def _inputs(target: Target, candidates: Sequence[Candidate], made: Planned) -> dict[str, Node]:
    inputs: dict[str, Node] = {}
    for candidate in candidates:
        file = candidate.file
        inputs[Part.FILE.of(candidate)] = file_node(made, file)
        inputs[Part.VERIFICATION.of(candidate)] = node_of(made["verification"], file)
        if candidate.precision is not Precision.FP32:
            inputs[Part.FLOAT.of(candidate)] = float_node(made, file)
    if target.device is not None:
        inputs[LATENCY_INPUT] = node_of(made["latency"], Timing(target.device, target.threads))
    return inputs


def _check(job: Job) -> Iterator[Problem]:
    """Yield accuracy limits that belong to another task."""
    own = job.recipe.task
    known = TASKS.load(own).limits
    # Every limit belongs to one of edgetl's own tasks, so no other package is imported.
    others = {limit: task for task in TASKS.built_in() for limit in TASKS.load(task).limits}
    for target in job.targets:
        for name, task in others.items():
            if name in known or not target.limits.is_set(name):
                continue
            yield Problem(
                "targets",
                f"targets/{target.name}.yaml: limits.{name} is for {task}; "
                f"{own} has {', '.join(known) or 'no limit of accuracy'}",
            )


def _tools(settings: Settings) -> tuple[str, ...]:
    from edgetl.runtime.engines import package

    return (*(package(name) for name in settings.target.files()), "numpy", "pillow")


def _run(settings: Settings, inputs: Mapping[str, Artifact], work: Workspace) -> PackageFacts:
    target = settings.target
    assessments = [
        _Assessment.of(variant.of(settings.model), inputs) for variant in target.variants()
    ]
    selection = choose(target, [each.measured() for each in assessments])
    chosen = None if selection.chosen is None else assessments[selection.chosen]
    if chosen is not None:
        _write_bundle(work.out / BUNDLE_FOLDER, settings, chosen, selection, inputs)
    return PackageFacts(
        target=target.name,
        device=target.device,
        threads=target.threads,
        limits=target.limits,
        verdict=selection.outcome,
        why=selection.why,
        chosen=None if chosen is None else chosen.candidate,
        rows=tuple(
            each.row(judgement, target.limits)
            for each, judgement in zip(assessments, selection.judgements, strict=True)
        ),
    )


@dataclass(frozen=True, slots=True)
class _Assessment:
    """What earlier stages measured of one candidate."""

    candidate: Candidate
    verification: VerificationFacts
    latency: LatencyFacts | None
    """None where no device ran it."""

    @classmethod
    def of(cls, candidate: Candidate, inputs: Mapping[str, Artifact]) -> _Assessment:
        timed = inputs.get(LATENCY_INPUT)
        return cls(
            candidate,
            inputs[Part.VERIFICATION.of(candidate)].read(VerificationFacts),
            None if timed is None else timed.read(BenchmarkFacts).of(candidate),
        )

    @property
    def timing(self) -> LatencyFacts | None:
        """The times; None if there are none that count as speed."""
        return self.latency if self.latency and self.latency.measured else None

    def figures(self) -> Figures:
        verification, timing = self.verification, self.timing
        return figures_of(
            verification,
            verification.drop,
            verification.classes,
            timing,
            at_chance=verification.at_chance,
            no_predictions=verification.num_predictions == 0,
            size_bytes=verification.size_bytes,
            interfered=timing is not None and timing.interfered,
        )

    def measured(self) -> Measured:
        broken = (self.latency.broken if self.latency else None) or ()
        rounds = None if self.timing is None else rounds_of(self.timing)
        return Measured(self.candidate.name, self.figures(), "; ".join(broken), rounds)

    def row(self, judgement: Judgement, limits: Limits) -> CandidateRow:
        """Return one line of the table of a target with `limits`."""
        verification, timing, figures = self.verification, self.timing, self.figures()
        p95 = None if timing is None else timing.p95
        reasons = [judgement.reason]
        if self.candidate.provider != CPU and judgement.verdict is not Verdict.REJECTED:
            reasons.append(self._proof())
        return CandidateRow(
            candidate=self.candidate,
            metric=verification.metric,
            title=verification.title,
            value=verification.value,
            low=verification.low,
            high=verification.high,
            others=self._others(figures, limits),
            drop_pp=verification.drop.pp,
            drop_low_pp=verification.drop.low_pp,
            drop_high_pp=verification.drop.high_pp,
            breaks_at=verification.breaks_at,
            size_bytes=figures.size_bytes,
            p50_ms=None if timing is None or timing.p50 is None else timing.p50.value,
            p95_ms=figures.p95_ms,
            p95_low_ms=None if p95 is None else p95.low,
            p95_high_ms=None if p95 is None else p95.high,
            provenance=None if timing is None else timing.provenance,
            interfered=figures.interfered,
            memory_bytes=figures.memory_bytes,
            verdict=judgement.verdict,
            reason="; ".join(filter(None, reasons)),
        )

    def _others(self, figures: Figures, limits: Limits) -> dict[str, float | None]:
        """Return further figures of the task, and those of classes that have a limit, by title."""
        others = {
            limit.title: self.verification.figures[name]
            for name, limit in LIMITS.items()
            if name in self.verification.figures
        }
        for bound in limits.bounds():
            if bound.limit.source is Source.PREDICTIONS and bound.name not in LIMITS:
                others[bound.limit.title] = bound.limit.figure(figures)
        return others

    def _proof(self) -> str:
        """Return what is known about the predictions of a provider that was not verified."""
        known = "was not tried" if self.latency is None else "reproduces the golden samples"
        return f"accuracy is the file's on the CPU, {self.candidate.provider} {known}"


def _write_bundle(
    folder: Path,
    settings: Settings,
    chosen: _Assessment,
    selection: Selection,
    inputs: Mapping[str, Artifact],
) -> None:
    """Write the model folder, the runtime, and a manifest with the digest of every file."""
    from edgetl.runtime.bundle import MANIFEST_FILE, SCHEMA, runtime_files

    candidate, target = chosen.candidate, settings.target
    file = inputs[Part.FILE.of(candidate)]
    sources = {name: file.file(name) for name in file.manifest.files}
    sources |= runtime_files([candidate.format], [settings.task])
    for name, source in sources.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, place)
    set_provider(candidate.provider, folder, folder)
    manifest = BundleManifest.model_validate(
        {
            "schema": SCHEMA,
            "name": settings.recipe,
            "edgetl": __version__,
            "target": target.model_dump(exclude={"candidates"}),
            "candidate": candidate,
            "verdict": selection.outcome,
            "why": selection.why,
            "accuracy": chosen.verification,
            "latency": chosen.latency,
            "made_with": {tool: version(tool) for tool in sorted(set(_tools(settings)))},
            "lineage": _lineage(candidate, inputs),
            "model_files": EXPORTERS.load(candidate.format).files,
            "files": digest_folder(folder),
        }
    )
    text = json.dumps(manifest.model_dump(mode="json", by_alias=True), indent=2, ensure_ascii=False)
    (folder / MANIFEST_FILE).write_text(f"{text}\n", encoding="utf-8")


def _lineage(candidate: Candidate, inputs: Mapping[str, Artifact]) -> dict[str, Origin]:
    """Return key and digest of every artifact that the model was made from or judged by."""
    chains = (name for name in inputs if not Part.is_in(name) and name != LATENCY_INPUT)
    names = {name: name for name in chains}
    names |= {part.value: part.of(candidate) for part in Part} | {LATENCY_INPUT: LATENCY_INPUT}
    return {
        name: Origin(
            stage=inputs[source].manifest.stage,
            key=inputs[source].manifest.key,
            digest=inputs[source].manifest.digest,
        )
        for name, source in names.items()
        if source in inputs
    }


def _summary(facts: PackageFacts) -> str:
    """Return for example ``held by openvino int8: p95 0.61 ms, drop 0.3 pp, 1.1 MiB``."""
    row = facts.chosen_row
    if row is None:
        return f"{Outcome.MISSED}: {facts.why}"
    figures = [f"drop {row.drop_pp:z.1f} pp", mib(row.size_bytes)]
    if row.p95_ms is not None:
        figures.insert(0, f"p95 {row.p95_ms:.2f} ms")
    text = f"{row.candidate.name}: {', '.join(figures)}"
    if row.verdict is Verdict.CHOSEN:
        return f"held by {text}"
    return f"unverified, {facts.why}; {text}"


STAGE = Stage(
    name="package",
    version=6,
    needs=("view", MODEL_KIND, "float", "quantized", "verification", "latency"),
    makes="bundle",
    options=NoOptions,
    plan=_plan,
    tools=_tools,
    facts=PackageFacts,
    run=_run,
    summary=_summary,
    check=_check,
)
