"""Time a model file on a device, in a process that runs nothing but ``edgetl.runtime``."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from edgetl.boards import require_machine
from edgetl.boards.remote_runtime import TimingRequest, bench, replay_golden, start_s
from edgetl.config.table import Table
from edgetl.devices import Connection, Device, check_device, open_device
from edgetl.errors import DeviceError, MissingPackage, Problem
from edgetl.facts.latency import LatencyFacts
from edgetl.runtime.engines import CPU
from edgetl.runtime.errors import EngineError
from edgetl.runtime.quantiles import support
from edgetl.runtime.timing_plan import TimingPlan
from edgetl.stages import Cores, Job, Node, Planned, Stage, Workspace
from edgetl.stages._candidates import Timing, candidates_of, file_node, runtime_digest, set_provider
from edgetl.store.store import Artifact
from edgetl.types import MIB, Facts, Provenance

LATENCY_FILE = "latency.json"

_HERE = "local"
_EMULATED_COUNT = 10
"""Inferences of an emulated processor: their times mean nothing, and each takes long."""
_SLOWEST_S = 4.0
"""Of one inference; a detector with 16-bit activations takes a second or two without an optimised
kernel."""


class BenchmarkTable(Table):
    """How long each model file is timed, alone and then end to end, from image to prediction."""

    seconds: float = Field(default=10.0, gt=0.0, le=600.0)
    """Each run takes at least this long, seconds."""
    count: int = Field(default=50, ge=1, le=100_000)
    """Each run has at least this many inferences."""
    runs: int = Field(default=5, ge=1, le=100)
    """Number of undisturbed runs; the headline figure is the median of their medians."""
    sustained: float = Field(default=0.0, ge=0.0, le=60.0)
    """Minutes that each file then runs without a pause, to see whether the device throttles; not
    on an emulated device. No limit uses the result."""

    @model_validator(mode="after")
    def _enough_for_p95(self) -> Self:
        least = support(0.95)
        if self.runs * self.count < least:
            raise ValueError(
                f"runs x count is {self.runs * self.count}, but a 95th percentile needs "
                f"{least} inferences"
            )
        return self


class Settings(Table):
    """What a timing depends on in addition to the file."""

    format: str
    provider: str
    """Execution provider; one of `edgetl.runtime.engines.providers`."""
    device: str
    """Address: ``local``, or for example ``ssh://pi@rpi4``."""
    host: dict[str, str | int | None]
    """Fingerprint of the machine: a store that is moved to another one times again."""
    runtime: str
    """Digest of the runtime's files, which are part of what is timed."""
    threads: int
    seconds: float
    count: int
    runs: int
    sustained: float
    """Minutes."""


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    table = _table(job)
    hosts: dict[str, dict[str, str | int | None]] = {}
    amounts: dict[str, dict[str, float]] = {}
    nodes: dict[Timing, Node] = {}
    for target in job.targets:
        if target.device is None:
            continue
        if target.device not in hosts:
            device = open_device(target.device)
            hosts[target.device] = device.describe()
            amounts[target.device] = _amounts(table, device)
        require_machine(target, open_device(target.device))
        for candidate in candidates_of(job, target):
            timing = Timing.on(target, candidate)
            settings = Settings(
                format=candidate.format,
                provider=candidate.provider,
                device=target.device,
                host=hosts[target.device],
                runtime=runtime_digest(job, [candidate.format]),
                threads=target.threads,
                **amounts[target.device],
            )
            inputs = {"candidate": file_node(made, candidate.file)}
            label = f"benchmark {candidate.name} {target.device} x{target.threads}"
            nodes.setdefault(timing, Node("benchmark", label, settings, inputs, key=timing))
    return list(nodes.values())


def _check(job: Job) -> Iterator[Problem]:
    """Yield the targets whose device address is not valid."""
    for target in job.targets:
        problem = None if target.device is None else check_device(target.device)
        if problem is not None:
            yield Problem("targets", f"target '{target.name}': {problem}")


def _missing(job: Job) -> Iterator[MissingPackage]:
    """Yield the engines that this machine lacks; other devices are only checked when they run."""
    from edgetl.runtime.engines import package, packages

    for target in job.targets:
        if target.device != _HERE:
            continue
        for name, provider in target.format_providers():
            if provider == CPU:
                continue  # the verify stage needs the same package
            try:
                package(name, provider)
            except EngineError:
                wanted = packages(name, provider)[0]
                model = f"target '{target.name}': a model of format '{name}' on {provider}"
                yield MissingPackage(model, wanted, wanted)


def _tools(settings: Settings) -> tuple[str, ...]:
    from edgetl.runtime.engines import package

    return (package(settings.format), "numpy", "pillow")


def _run(settings: Settings, inputs: Mapping[str, Artifact], work: Workspace) -> LatencyFacts:
    from edgetl.runtime.latency import Latency

    device = open_device(settings.device)
    data, broken = _measure(device, settings, inputs["candidate"].folder)
    latency = Latency.from_json(data)
    if latency.interfered and device.provenance == Provenance.MEASURED:
        work.progress.note(
            f"other programs disturbed {len(latency.runs) - len(latency.undisturbed)} of "
            f"{len(latency.runs)} runs on '{settings.device}'; all are kept and the times marked"
        )
    if latency.threads < settings.threads and device.provenance == Provenance.MEASURED:
        work.progress.note(
            f"'{settings.device}' lets a process use {latency.threads} core(s) only: timed with "
            f"{latency.threads} instead of {settings.threads} threads"
        )
    if latency.host != settings.host:
        raise DeviceError(
            f"device '{settings.device}' is not the machine that was planned for: "
            f"{latency.host} instead of {settings.host}",
            remedy="run again to make a new plan for this machine",
        )
    if latency.provider != settings.provider:
        raise DeviceError(
            f"device '{settings.device}' ran the model on {latency.provider}, but "
            f"{settings.provider} was requested",
            remedy="run again; if that does not help, run 'bench' there",
        )
    text = json.dumps(latency.as_json()) + "\n"
    (work.out / LATENCY_FILE).write_text(text, encoding="utf-8")
    return LatencyFacts(
        **latency.summary(),
        device=settings.device,
        provenance=device.provenance,
        host=dict(latency.host),
        broken=broken,
    )


def _measure(
    device: Device, settings: Settings, folder: Path
) -> tuple[Facts, tuple[str, ...] | None]:
    """Return the latency that the runtime on the device prints, as JSON, and what is broken.

    The latter are the golden samples that differ there; None if the CPU runs the model.
    """
    from edgetl.runtime.bundle import runtime_files
    from edgetl.runtime.contract import Contract

    runtime = runtime_files([settings.format], [Contract.load(folder).task])
    files = {path.name: path for path in sorted(folder.iterdir()) if path.is_file()}
    broken = None
    with tempfile.TemporaryDirectory(prefix="edgetl-benchmark-") as name:
        changed = set_provider(settings.provider, folder, Path(name))
        files |= {each: Path(name) / each for each in changed}
        with device.connect() as connection:
            models = {f"model/{each}": path for each, path in files.items()}
            connection.put({**runtime, **models})
            if settings.provider != CPU:
                broken = _broken(connection, settings)
            data = bench(connection, settings.device, "model", _request(settings))
    return data, broken


def _request(settings: Settings) -> TimingRequest:
    return TimingRequest(
        threads=settings.threads,
        plan=TimingPlan(settings.seconds, settings.count, settings.runs),
        slowest_s=_SLOWEST_S,
        provider=settings.provider,
        sustained_minutes=settings.sustained,
    )


def _broken(connection: Connection, settings: Settings) -> tuple[str, ...]:
    """Return the golden samples that a provider other than the CPU predicts differently.

    Accuracy is verified on this machine's CPU, so the provider must reproduce the same outputs.
    """
    replayed = replay_golden(
        connection,
        settings.device,
        "model",
        threads=settings.threads,
        timeout_s=start_s(settings.provider),
    )
    if replayed.error:
        raise DeviceError(
            f"the model does not run on device '{settings.device}': {replayed.error}",
            remedy="run 'python -m edgetl.runtime bench' there to see why",
        )
    return tuple(
        f"{row.name} {row.what}: worst {row.worst:.3g}, {row.tolerance:.3g} allowed"
        for row in replayed.rows
        if not row.passed
    )


def _amounts(table: BenchmarkTable, device: Device) -> dict[str, float]:
    """Return the fields of `Settings` that set how long and how often a file is timed."""
    if device.provenance == Provenance.MEASURED:
        return table.model_dump()
    return {"seconds": 0.0, "count": _EMULATED_COUNT, "runs": 1, "sustained": 0.0}


def _table(job: Job) -> BenchmarkTable:
    table = job.tables["benchmark"]
    if not isinstance(table, BenchmarkTable):
        raise TypeError(f"the table of 'benchmark' is a {type(table).__name__}")
    return table


def _summary(facts: LatencyFacts) -> str:
    """Return for example ``p95 0.61 ms [0.60, 0.63], p50 0.58, 73 MiB``."""
    text = f"{facts.count} inferences"
    if facts.p95 is not None and facts.p50 is not None:
        text = f"p95 {facts.p95.value:.2f} ms [{facts.p95.low:.2f}, {facts.p95.high:.2f}]"
        text += f", p50 {facts.p50.value:.2f}"
    if facts.peak_memory_bytes is not None:
        text += f", {facts.peak_memory_bytes / MIB:.0f} MiB"
    if facts.sustained:
        text += f"; at the end {facts.sustained.slowdown:.2f} times as long"
    if facts.broken:
        text += f"; golden samples differ on {facts.provider}"
    if not facts.measured:
        return f"{text}; {facts.provenance}, so no speed"
    return f"{text}; disturbed by other programs" if facts.interfered else text


STAGE = Stage(
    name="benchmark",
    version=4,
    needs=("float", "quantized"),
    makes="latency",
    options=BenchmarkTable,
    plan=_plan,
    tools=_tools,
    facts=LatencyFacts,
    run=_run,
    summary=_summary,
    check=_check,
    missing=_missing,
    measured=True,
    cores=Cores.MACHINE,
)
