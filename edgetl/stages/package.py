"""Choose a target's model and put everything that the device needs into one folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from edgetl import __version__
from edgetl.config.table import Table
from edgetl.config.target import ACCURACIES, Candidate, Target
from edgetl.errors import Problem
from edgetl.hashing import digest_folder
from edgetl.runtime.engines import CPU
from edgetl.stages import Job, Node, NoOptions, Planned, Stage, Workspace
from edgetl.stages._candidates import (
    ask_for,
    benchmark_label,
    candidate_name,
    file_node,
    float_node,
    model_node,
    node_called,
    runtime_digest,
)
from edgetl.stages._selection import Judgement, Measured, Outcome, Selection, Verdict, choose
from edgetl.stages._views import deployed_view
from edgetl.store.store import Artifact
from edgetl.types import Facts, Precision, Provenance

BUNDLE_FOLDER = "bundle"

_MIB = 2**20


class Settings(Table):
    """What a package depends on besides its inputs."""

    recipe: str
    """Name of the model."""
    target: Target
    runtime: str
    """Digest of the runtime's files, which travel along."""


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    dataset = deployed_view(job, made)
    nodes: list[Node] = []
    for target in job.targets:
        runtime = runtime_digest(job, target.files())
        settings = Settings(recipe=job.recipe.name, target=target, runtime=runtime)
        label = f"package {target.name}"
        nodes.append(Node("package", label, settings, _inputs(target, made, dataset)))
    return nodes


def _inputs(target: Target, made: Planned, dataset: Node) -> dict[str, Node]:
    model, teacher = model_node(made), made["teacher"][0]
    inputs = {"dataset": dataset, "teacher": teacher}
    if model is not teacher:
        inputs["student"] = model
    for candidate in target.each_candidate():
        name, file = candidate.name, candidate.file
        verification = f"verify {candidate_name(file)}"
        inputs[f"{name} file"] = file_node(made, file)
        inputs[f"{name} verification"] = node_called(made["verification"], verification)
        if candidate.precision is not Precision.FP32:
            inputs[f"{name} float"] = float_node(made, candidate.format)
        if target.device is not None:
            label = benchmark_label(candidate, target)
            inputs[f"{name} latency"] = node_called(made["latency"], label)
    return inputs


def _check(job: Job) -> Iterator[Problem]:
    """Yield the limits of accuracy that another task has."""
    known = ACCURACIES[job.recipe.task]
    for target in job.targets:
        for task, titles in ACCURACIES.items():
            for name in titles:
                if name not in known and getattr(target.limits, name) is not None:
                    yield Problem(
                        "targets",
                        f"targets/{target.name}.yaml: limits.{name} is for {task}; "
                        f"{job.recipe.task} has {', '.join(known)}",
                    )


def _tools(settings: Settings) -> tuple[str, ...]:
    from edgetl.runtime.engines import package

    return (*(package(name) for name in settings.target.files()), "numpy", "pillow")


def _run(settings: Settings, inputs: Mapping[str, Artifact], work: Workspace) -> Facts:
    target = settings.target
    candidates = list(target.each_candidate())
    measured = [_measured(candidate.name, inputs) for candidate in candidates]
    selection = choose(target, measured)
    chosen = None if selection.chosen is None else candidates[selection.chosen]
    if chosen is not None:
        _write_bundle(work.out / BUNDLE_FOLDER, settings, chosen, selection, inputs)
    return {
        "target": target.name,
        "device": target.device,
        "threads": target.threads,
        "limits": target.limits.model_dump(mode="json"),
        "verdict": selection.outcome.value,
        "why": selection.why,
        "chosen": None if chosen is None else chosen.name,
        "rows": [
            _row(candidate, figures, judgement, inputs)
            for candidate, figures, judgement in zip(
                candidates, measured, selection.judgements, strict=True
            )
        ],
    }


def _measured(name: str, inputs: Mapping[str, Artifact]) -> Measured:
    verification = inputs[f"{name} verification"].facts
    latency = _timing(name, inputs)
    run = inputs.get(f"{name} latency")
    return Measured(
        name=name,
        title=verification["title"],
        accuracies=_accuracies(verification),
        at_chance=verification["at_chance"],
        no_predictions=verification["num_predictions"] == 0,
        drop_pp=verification["drop"]["pp"],
        size_bytes=verification["size_bytes"],
        p95_ms=None if latency is None else latency.facts["model_ms"]["p95"]["value"],
        memory_bytes=None if latency is None else latency.facts["peak_memory_bytes"],
        interfered=latency is not None and latency.facts["interfered"],
        broken="; ".join((run.facts["broken"] if run else None) or ()),
    )


def _accuracies(verification: Facts) -> dict[str, tuple[str, float]]:
    """Return title and figure of everything that a limit of accuracy can be set on."""
    metric = verification["metric"]
    titles = next(names for names in ACCURACIES.values() if metric in names)
    return {
        name: (title, verification["value" if name == metric else name])
        for name, title in titles.items()
    }


def _row(
    candidate: Candidate, figures: Measured, judgement: Judgement, inputs: Mapping[str, Artifact]
) -> Facts:
    """Return one line of the target's table, raw figures and the verdict in words."""
    verification = inputs[f"{candidate.name} verification"].facts
    latency = _timing(candidate.name, inputs)
    reasons = [judgement.reason]
    if candidate.provider != CPU and judgement.verdict is not Verdict.REJECTED:
        reasons.append(_proof(candidate, inputs))
    return {
        "candidate": candidate.name,
        "format": candidate.format,
        "precision": candidate.precision.value,
        "provider": candidate.provider,
        "metric": verification["metric"],
        "title": figures.title,
        "value": verification["value"],
        "low": verification["low"],
        "high": verification["high"],
        "others": {
            title: value
            for name, (title, value) in figures.accuracies.items()
            if name != verification["metric"]
        },
        "drop_pp": figures.drop_pp,
        "drop_low_pp": verification["drop"]["low_pp"],
        "drop_high_pp": verification["drop"]["high_pp"],
        "breaks_at": verification["breaks_at"],
        "size_bytes": figures.size_bytes,
        "p95_ms": figures.p95_ms,
        "p95_low_ms": None if latency is None else latency.facts["model_ms"]["p95"]["low"],
        "p95_high_ms": None if latency is None else latency.facts["model_ms"]["p95"]["high"],
        "provenance": None if latency is None else latency.facts["provenance"],
        "interfered": figures.interfered,
        "memory_bytes": figures.memory_bytes,
        "verdict": judgement.verdict.value,
        "reason": "; ".join(filter(None, reasons)),
    }


def _proof(candidate: Candidate, inputs: Mapping[str, Artifact]) -> str:
    """Return what is known of the answers of a candidate that was verified on another provider."""
    shown = f"{candidate.name} latency" in inputs
    told = "answers the golden samples alike" if shown else "was not tried"
    return f"accuracy is the file's on the CPU, {candidate.provider} {told}"


def _write_bundle(
    folder: Path,
    settings: Settings,
    candidate: Candidate,
    selection: Selection,
    inputs: Mapping[str, Artifact],
) -> None:
    """Write the model folder, the runtime, and a manifest with the digest of every file."""
    from edgetl.runtime.bundle import MANIFEST_FILE, SCHEMA, runtime_files

    chosen = candidate.name
    file = inputs[f"{chosen} file"]
    sources = {name: file.file(name) for name in file.manifest.files}
    sources |= runtime_files([candidate.format])
    for name, source in sources.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, place)
    ask_for(candidate.provider, folder, folder)
    target = settings.target
    manifest: Facts = {
        "schema": SCHEMA,
        "name": settings.recipe,
        "edgetl": __version__,
        "target": target.model_dump(mode="json", exclude={"candidates"}),
        "candidate": chosen,
        "verdict": selection.outcome.value,
        "why": selection.why,
        "accuracy": inputs[f"{chosen} verification"].facts,
        "latency": _latency_facts(chosen, inputs),
        "made_with": {tool: version(tool) for tool in sorted(set(_tools(settings)))},
        "lineage": _lineage(chosen, inputs),
        "files": digest_folder(folder),
    }
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    (folder / MANIFEST_FILE).write_text(text, encoding="utf-8")


def _timing(name: str, inputs: Mapping[str, Artifact]) -> Artifact | None:
    """Return the times of a candidate; None if there are none that mean anything as speed."""
    latency = inputs.get(f"{name} latency")
    return latency if latency and latency.facts["provenance"] == Provenance.MEASURED else None


def _latency_facts(chosen: str, inputs: Mapping[str, Artifact]) -> Facts | None:
    latency = inputs.get(f"{chosen} latency")
    return None if latency is None else latency.facts


def _lineage(chosen: str, inputs: Mapping[str, Artifact]) -> Facts:
    """Return key and digest of every artifact that the model comes from or was judged by."""
    of_chosen = {
        name.removeprefix(f"{chosen} "): artifact
        for name, artifact in inputs.items()
        if name.startswith(f"{chosen} ")
    }
    of_all = {name: inputs[name] for name in ("dataset", "teacher", "student") if name in inputs}
    return {
        name: {
            "stage": artifact.manifest.stage,
            "key": artifact.manifest.key,
            "digest": artifact.manifest.digest,
        }
        for name, artifact in (of_all | of_chosen).items()
    }


def _summary(facts: Facts) -> str:
    """Return for example ``held by openvino int8: p95 0.61 ms, drop 0.3 pp, 1.1 MiB``."""
    if facts["chosen"] is None:
        return f"{Outcome.MISSED.value}: {facts['why']}"
    row = next(row for row in facts["rows"] if row["candidate"] == facts["chosen"])
    figures = [f"drop {row['drop_pp']:z.1f} pp", f"{row['size_bytes'] / _MIB:.1f} MiB"]
    if row["p95_ms"] is not None:
        figures.insert(0, f"p95 {row['p95_ms']:.2f} ms")
    said = f"{facts['chosen']}: {', '.join(figures)}"
    if row["verdict"] == Verdict.CHOSEN.value:
        return f"held by {said}"
    return f"unverified, {facts['why']}; {said}"


STAGE = Stage(
    name="package",
    version=2,
    needs=("view", "teacher", "student", "float", "quantized", "verification", "latency"),
    makes="bundle",
    options=NoOptions,
    plan=_plan,
    tools=_tools,
    run=_run,
    summary=_summary,
    check=_check,
)
