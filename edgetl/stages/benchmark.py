"""Time a model file on a device, in a process that runs nothing but ``edgetl.runtime``."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from edgetl.boards import require_machine
from edgetl.boards.remote_runtime import BUILD_S, replay_golden, run_json
from edgetl.config.table import Table
from edgetl.devices import Connection, Device, check_device, open_device
from edgetl.errors import DeviceError, MissingPackage, Problem
from edgetl.facts.latency import LatencyFacts
from edgetl.runtime.engines import CPU
from edgetl.runtime.errors import EngineError
from edgetl.runtime.quantiles import support
from edgetl.runtime.timing_plan import ATTEMPTS_PER_RUN
from edgetl.stages import Job, Node, Planned, Stage, Workspace
from edgetl.stages._candidates import Timing, ask_for, candidates_of, file_node, runtime_digest
from edgetl.store.store import Artifact
from edgetl.types import MIB, Facts, Provenance

LATENCY_FILE = "latency.json"

_HERE = "local"
_EMULATED_COUNT = 10
"""Inferences of an emulated processor: their times mean nothing, and each takes long."""
_TIMEOUT_S = 120.0
_TIMEOUT_FACTOR = 2.0
_S_PER_MINUTE = 60.0
_SLOWEST_S = 4.0
"""Of one inference; a detector with 16-bit activations takes a second or two where no kernel is
made for them."""


class BenchmarkTable(Table):
    """How long each model file is timed, alone and again from image to answer."""

    seconds: float = Field(default=10.0, gt=0.0, le=600.0)
    """Each run takes at least this long, seconds."""
    count: int = Field(default=50, ge=1, le=100_000)
    """And at least this many inferences."""
    runs: int = Field(default=5, ge=1, le=100)
    """Runs that nothing disturbed; the figure to remember is the median of their medians."""
    sustained: float = Field(default=0.0, ge=0.0, le=60.0)
    """Minutes that each file then runs without a pause, to see whether it grows hot and slow; not
    on an emulated device. No limit reads what comes of it."""

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
    """What a timing depends on besides the file."""

    format: str
    provider: str
    """What runs the file there; one of `edgetl.runtime.engines.providers`."""
    device: str
    """Address: ``local``, or for example ``ssh://pi@rpi4``."""
    host: dict[str, str | int | None]
    """Fingerprint of the machine: a store that is moved to another one times again."""
    runtime: str
    """Digest of the runtime's files, which are timed along."""
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
    """Yield the targets whose device's address is not valid."""
    for target in job.targets:
        problem = None if target.device is None else check_device(target.device)
        if problem is not None:
            yield Problem("targets", f"target '{target.name}': {problem}")


def _missing(job: Job) -> Iterator[MissingPackage]:
    """Yield the engines that this machine lacks; another device's are only known when it runs."""
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
    if latency.host != settings.host:
        raise DeviceError(
            f"device '{settings.device}' is not the machine that was planned for: "
            f"{latency.host} instead of {settings.host}",
            remedy="run again, so that the plan asks the device what it is now",
        )
    if latency.provider != settings.provider:
        raise DeviceError(
            f"device '{settings.device}' ran the model on {latency.provider}, but "
            f"{settings.provider} was asked for",
            remedy="run again; if that does not help, see what 'bench' says there",
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
    """Return what the runtime on the device prints: a latency as JSON, and what is wrong.

    That is which golden samples are answered otherwise there; None if the CPU runs the model.
    """
    from edgetl.runtime.bundle import runtime_files

    files = {path.name: path for path in sorted(folder.iterdir()) if path.is_file()}
    command = ["-m", "edgetl.runtime", "bench", "model", "--json"]
    command += ["--threads", str(settings.threads)]
    command += ["--seconds", str(settings.seconds), "--count", str(settings.count)]
    command += ["--runs", str(settings.runs), "--sustained", str(settings.sustained)]
    broken = None
    with tempfile.TemporaryDirectory(prefix="edgetl-benchmark-") as name:
        asking = ask_for(settings.provider, folder, Path(name))
        files |= {each: Path(name) / each for each in asking}
        with device.connect() as connection:
            models = {f"model/{each}": path for each, path in files.items()}
            connection.put({**runtime_files([settings.format]), **models})
            if settings.provider != CPU:
                broken = _broken(connection, settings)
            data = run_json(
                connection,
                settings.device,
                command,
                what="a latency",
                timeout_s=_timeout_s(settings),
            )
    return data, broken


def _broken(connection: Connection, settings: Settings) -> tuple[str, ...]:
    """Return which golden samples another provider than the CPU answers otherwise.

    Answers are verified on this machine's CPU; that the provider gives the same is shown there.
    """
    replayed = replay_golden(
        connection,
        settings.device,
        "model",
        threads=settings.threads,
        timeout_s=_TIMEOUT_S + BUILD_S,
    )
    if replayed.error:
        raise DeviceError(
            f"the model does not run on device '{settings.device}': {replayed.error}",
            remedy="run 'python -m edgetl.runtime bench' there and see",
        )
    return tuple(
        f"{row.name} {row.what}: worst {row.worst:.3g}, {row.tolerance:.3g} allowed"
        for row in replayed.rows
        if not row.passed
    )


def _timeout_s(settings: Settings) -> float:
    """Return when a timing hangs for sure: when every run was disturbed, on the slowest device.

    Each run times alone and end to end.
    """
    per_run_s = 2 * (_TIMEOUT_FACTOR * settings.seconds + settings.count * _SLOWEST_S)
    build_s = 0.0 if settings.provider == CPU else BUILD_S
    sustained_s = _TIMEOUT_FACTOR * settings.sustained * _S_PER_MINUTE
    return _TIMEOUT_S + build_s + ATTEMPTS_PER_RUN * settings.runs * per_run_s + sustained_s


def _amounts(table: BenchmarkTable, device: Device) -> dict[str, float]:
    """Return the fields of `Settings` that say how long and how often."""
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
        text += f"; answers otherwise on {facts.provider}"
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
)
