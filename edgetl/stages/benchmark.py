"""Time a model file on a device, in a process that runs nothing but ``edgetl.runtime``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import Field

from edgetl.config.table import Table
from edgetl.devices import Device, check_device, open_device
from edgetl.errors import DeviceError, Problem
from edgetl.stages import Job, Node, Planned, Stage, Workspace
from edgetl.stages._candidates import benchmark_label, file_node, runtime_digest
from edgetl.store.store import Artifact
from edgetl.types import Facts

LATENCY_FILE = "latency.json"

_ATTEMPTS = 3
"""A busy machine gets that many chances to be quiet; the last times are kept and marked."""
_TIMEOUT_S = 120.0
_TIMEOUT_FACTOR = 20.0
_SLOWEST_S = 4.0
"""Of one inference; a detector with 16-bit activations takes a second or two where no kernel is
made for them."""


class BenchmarkTable(Table):
    """How long each model file is timed."""

    seconds: float = Field(default=1.0, gt=0.0, le=600.0)
    """Time single inferences at least this long, seconds."""
    count: int = Field(default=50, ge=20, le=100_000)
    """And at least this many of them; fewer than 20 have no 95th percentile."""


class Settings(Table):
    """What a timing depends on besides the file."""

    format: str
    device: str
    """Address: ``local``, or for example ``ssh://pi@rpi4``."""
    host: dict[str, str | int | None]
    """Fingerprint of the machine: a store that is moved to another one times again."""
    runtime: str
    """Digest of the runtime's files, which are timed along."""
    threads: int
    seconds: float
    count: int


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    table = _table(job)
    runtime = runtime_digest(job)
    hosts: dict[str, dict[str, str | int | None]] = {}
    nodes: dict[str, Node] = {}
    for target in job.targets:
        if target.device is None:
            continue
        if target.device not in hosts:
            hosts[target.device] = open_device(target.device).describe()
        for candidate in target.pairs():
            label = benchmark_label(candidate, target)
            settings = Settings(
                format=candidate[0],
                device=target.device,
                host=hosts[target.device],
                runtime=runtime,
                threads=target.threads,
                seconds=table.seconds,
                count=table.count,
            )
            inputs = {"candidate": file_node(made, candidate)}
            nodes.setdefault(label, Node("benchmark", label, settings, inputs))
    return list(nodes.values())


def _check(job: Job) -> Iterator[Problem]:
    """Yield the targets whose device there is no way to reach."""
    for target in job.targets:
        problem = None if target.device is None else check_device(target.device)
        if problem is not None:
            yield Problem("targets", f"target '{target.name}': {problem}")


def _tools(settings: Settings) -> tuple[str, ...]:
    from edgetl.runtime.engines import package

    return (package(settings.format), "numpy", "pillow")


def _run(settings: Settings, inputs: Mapping[str, Artifact], work: Workspace) -> Facts:
    from edgetl.runtime.latency import Latency

    device = open_device(settings.device)
    for attempt in range(_ATTEMPTS):
        work.progress.step(attempt, _ATTEMPTS, "attempts")
        latency = Latency.from_json(_measure(device, settings, inputs["candidate"].folder))
        if not latency.interfered:
            break
    else:
        work.progress.note(
            f"other programs disturbed the timing on '{settings.device}' {_ATTEMPTS} times; "
            "the last times are kept and marked"
        )
    if latency.host != settings.host:
        raise DeviceError(
            f"device '{settings.device}' is not the machine that was planned for: "
            f"{latency.host} instead of {settings.host}",
            remedy="run again, so that the plan asks the device what it is now",
        )
    text = json.dumps(latency.as_json()) + "\n"
    (work.out / LATENCY_FILE).write_text(text, encoding="utf-8")
    return {
        "device": settings.device,
        "provenance": device.provenance,
        "attempts": attempt + 1,
        **latency.summary(),
        "host": latency.host,
    }


def _measure(device: Device, settings: Settings, folder: Path) -> Facts:
    """Return what the runtime on the device prints: a latency as JSON."""
    from edgetl.runtime.bundle import runtime_files

    files = {f"model/{path.name}": path for path in sorted(folder.iterdir()) if path.is_file()}
    command = ["-m", "edgetl.runtime", "bench", "model", "--json"]
    command += ["--threads", str(settings.threads)]
    command += ["--seconds", str(settings.seconds), "--count", str(settings.count)]
    with device.connect() as connection:
        connection.put({**runtime_files(), **files})
        printed = connection.run(command, timeout_s=_timeout_s(settings))
    try:
        data: Facts = json.loads(printed)
    except ValueError as error:
        raise DeviceError(
            f"device '{settings.device}' answered {printed[:80]!r} instead of a latency",
            remedy="run 'python -m edgetl.runtime bench' there and see",
        ) from error
    return data


def _timeout_s(settings: Settings) -> float:
    """Return when a timing hangs for sure; it takes every count twice, alone and end to end."""
    return _TIMEOUT_S + _TIMEOUT_FACTOR * settings.seconds + 2 * settings.count * _SLOWEST_S


def _table(job: Job) -> BenchmarkTable:
    table = job.tables["benchmark"]
    if not isinstance(table, BenchmarkTable):
        raise TypeError(f"the table of 'benchmark' is a {type(table).__name__}")
    return table


def _summary(facts: Facts) -> str:
    """Return for example ``p95 0.61 ms [0.60, 0.63], p50 0.58, 73 MiB``."""
    p95 = facts["model_ms"]["p95"]
    text = f"p95 {p95['value']:.2f} ms [{p95['low']:.2f}, {p95['high']:.2f}]"
    text += f", p50 {facts['model_ms']['p50']['value']:.2f}"
    if facts["peak_memory_bytes"] is not None:
        text += f", {facts['peak_memory_bytes'] / 2**20:.0f} MiB"
    return f"{text}; disturbed by other programs" if facts["interfered"] else text


STAGE = Stage(
    name="benchmark",
    version=1,
    needs=("float", "quantized"),
    makes="latency",
    options=BenchmarkTable,
    plan=_plan,
    tools=_tools,
    run=_run,
    summary=_summary,
    check=_check,
)
