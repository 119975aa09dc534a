"""Time candidates in turns, on a device that runs nothing but ``edgetl.runtime`` for it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from edgetl.boards import require_machine
from edgetl.boards.remote_runtime import (
    TimingRequest,
    TurnsRequest,
    bench,
    compare,
    replay_golden,
    start_s,
)
from edgetl.config.candidate import Candidate
from edgetl.config.table import Table
from edgetl.devices import Connection, Device, check_device, open_device
from edgetl.errors import DeviceError, MissingPackage, Problem, first_of
from edgetl.facts.latency import (
    BenchmarkFacts,
    CandidateLatency,
    LatencyFacts,
    latency_file,
    rounds_of,
)
from edgetl.facts.package import Part
from edgetl.runtime.engines import CPU
from edgetl.runtime.errors import EngineError
from edgetl.runtime.quantiles import support
from edgetl.runtime.timing_plan import TimingPlan, TurnsPlan
from edgetl.stages import Cores, Job, Node, Planned, Stage, Workspace
from edgetl.stages._candidates import (
    Timing,
    candidates_of,
    file_node,
    operating_point_node,
    runtime_digest,
    write_contract,
)
from edgetl.store.store import Artifact
from edgetl.types import Facts, Provenance

if TYPE_CHECKING:  # planning must not wait for numpy
    from edgetl.runtime.latency import Latency

_HERE = "local"
_EMULATED_COUNT = 10
"""Inferences of an emulated processor: their times mean nothing, and each takes long."""
_SLOWEST_S = 4.0
"""Of one inference; a detector with 16-bit activations takes a second or two without an optimised
kernel."""


class BenchmarkTable(Table):
    """How the model files are timed: in turns, each alone and then from image to prediction."""

    seconds: float = Field(default=0.1, gt=0.0, le=600.0)
    """Each turn takes at least this long, seconds, and again from image to prediction."""
    count: int = Field(default=10, ge=1, le=100_000)
    """Each turn has at least this many inferences."""
    rounds: int = Field(default=8, ge=1, le=1000)
    """Least number of rounds, in each of which every file has one turn."""
    most_rounds: int = Field(default=24, ge=1, le=1000)
    """Number of rounds after which the timing ends, even if the order is not clear."""
    sustained: float = Field(default=0.0, ge=0.0, le=60.0)
    """Minutes that each file then runs without a pause, to see whether the device throttles; not
    on an emulated device. No limit uses the result."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        least = support(0.95)
        if self.rounds * self.count < least:
            raise ValueError(
                f"rounds x count is {self.rounds * self.count}, but a 95th percentile needs "
                f"{least} inferences"
            )
        if self.most_rounds < self.rounds:
            raise ValueError(
                f"most_rounds is {self.most_rounds}, but rounds, the least number, is {self.rounds}"
            )
        return self


class Settings(Table):
    """What a timing depends on in addition to the files."""

    candidates: tuple[Candidate, ...]
    device: str
    """Address: ``local``, or for example ``ssh://pi@rpi4``."""
    host: dict[str, str | int | None]
    """Fingerprint of the machine: a store that is moved to another one times again."""
    runtime: str
    """Digest of the runtime's files, which are part of what is timed."""
    threads: int
    seconds: float
    count: int
    rounds: int
    most_rounds: int
    sustained: float
    """Minutes."""


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    table = _table(job)
    timed: dict[Timing, list[Candidate]] = {}
    for target in job.targets:
        if target.device is not None:
            require_machine(target, open_device(target.device))
            together = timed.setdefault(Timing(target.device, target.threads), [])
            together += [each for each in candidates_of(job, target) if each not in together]
    hosts = {timing.device: open_device(timing.device).describe() for timing in timed}
    nodes = []
    for timing, candidates in timed.items():
        device = open_device(timing.device)
        settings = Settings(
            candidates=tuple(candidates),
            device=timing.device,
            host=hosts[timing.device],
            runtime=runtime_digest(job, dict.fromkeys(each.format for each in candidates)),
            threads=timing.threads,
            **_amounts(table, device),
        )
        inputs = {Part.FILE.of(each): file_node(made, each.file) for each in candidates}
        for each in candidates:
            point = operating_point_node(made, each.file)
            if point is not None:
                inputs[Part.OPERATING_POINT.of(each)] = point
        label = f"benchmark {timing.device} x{timing.threads}"
        nodes.append(Node("benchmark", label, settings, inputs, key=timing))
    return nodes


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

    engines = dict.fromkeys(package(each.format) for each in settings.candidates)
    return (*engines, "numpy", "pillow")


def _run(settings: Settings, inputs: Mapping[str, Artifact], work: Workspace) -> BenchmarkFacts:
    from edgetl.runtime.latency import Latency

    device = open_device(settings.device)
    folders = [inputs[Part.FILE.of(each)].folder for each in settings.candidates]
    points = [inputs.get(Part.OPERATING_POINT.of(each)) for each in settings.candidates]
    data, broken = _measure(device, settings, folders, points)
    latencies = [Latency.from_json(each) for each in data]
    timed = list(zip(settings.candidates, latencies, strict=True))
    for candidate, latency in timed:
        _check_machine(settings, candidate, latency)
        text = json.dumps(latency.as_json()) + "\n"
        (work.out / latency_file(candidate)).write_text(text, encoding="utf-8")
    if device.provenance == Provenance.MEASURED:
        for note in _notes(settings, timed):
            work.progress.note(note)
    return BenchmarkFacts(
        candidates=tuple(
            CandidateLatency(
                candidate=candidate,
                latency=LatencyFacts(
                    **latency.summary(),
                    device=settings.device,
                    provenance=device.provenance,
                    host=dict(latency.host),
                    broken=each,
                ),
            )
            for (candidate, latency), each in zip(timed, broken, strict=True)
        )
    )


def _check_machine(settings: Settings, candidate: Candidate, latency: Latency) -> None:
    """Raise an error if the device is not the planned one, or runs the model elsewhere.

    Raises:
        DeviceError: If so.
    """
    if latency.host != settings.host:
        raise DeviceError(
            f"device '{settings.device}' is not the machine that was planned for: "
            f"{latency.host} instead of {settings.host}",
            remedy="run again to make a new plan for this machine",
        )
    if latency.provider != candidate.provider:
        raise DeviceError(
            f"device '{settings.device}' ran the model on {latency.provider}, but "
            f"{candidate.provider} was requested",
            remedy="run again; if that does not help, run 'bench' there",
        )


def _notes(settings: Settings, timed: Sequence[tuple[Candidate, Latency]]) -> Iterator[str]:
    """Yield what a reader must know about the times."""
    where = f"'{settings.device}'"
    disturbed = [candidate.name for candidate, latency in timed if latency.interfered]
    if disturbed:
        yield (
            f"other programs disturbed the timing of {first_of(disturbed, 3)} on {where}; all "
            "turns are kept and the times marked"
        )
    threads = min(latency.threads for _, latency in timed)
    if threads < settings.threads:
        yield (
            f"{where} lets a process use {threads} core(s) only: timed with {threads} instead of "
            f"{settings.threads} threads"
        )


def _measure(
    device: Device,
    settings: Settings,
    folders: Sequence[Path],
    points: Sequence[Artifact | None],
) -> tuple[list[Facts], list[tuple[str, ...] | None]]:
    """Return the latencies that the runtime on the device prints, as JSON, and what is broken.

    The latter are the golden samples that differ there; None if the CPU runs the model.

    Args:
        device: The device to run on.
        settings: Of the timing.
        folders: Of the model file of each candidate.
        points: The operating point of each candidate; None if the recipe states none.
    """
    from edgetl.runtime.bundle import runtime_files
    from edgetl.runtime.contract import Contract

    formats = [candidate.format for candidate in settings.candidates]
    files = dict(runtime_files(formats, [Contract.load(folders[0]).task]))
    places = {f"candidates/{i}": candidate for i, candidate in enumerate(settings.candidates)}
    with tempfile.TemporaryDirectory(prefix="edgetl-benchmark-") as name:
        for (place, candidate), folder, point in zip(places.items(), folders, points, strict=True):
            changed = Path(name) / place
            changed.mkdir(parents=True)
            names = write_contract(candidate.provider, point, folder, changed)
            present = (path for path in folder.iterdir() if path.is_file())
            files |= {f"{place}/{path.name}": path for path in sorted(present)}
            files |= {f"{place}/{each}": changed / each for each in names}
        with device.connect() as connection:
            connection.put(files)
            broken = [
                _broken(connection, settings, place, candidate.provider)
                for place, candidate in places.items()
            ]
            if device.provenance == Provenance.MEASURED:
                data = compare(connection, settings.device, places, _turns(settings))
            else:
                data = [
                    bench(connection, settings.device, place, _alone(settings, candidate))
                    for place, candidate in places.items()
                ]
    return data, broken


def _turn(settings: Settings) -> TimingPlan:
    return TimingPlan(settings.seconds, settings.count, settings.rounds)


def _turns(settings: Settings) -> TurnsRequest:
    return TurnsRequest(
        threads=settings.threads,
        plan=TurnsPlan(_turn(settings), settings.most_rounds),
        slowest_s=_SLOWEST_S,
        providers=tuple(candidate.provider for candidate in settings.candidates),
        sustained_minutes=settings.sustained,
    )


def _alone(settings: Settings, candidate: Candidate) -> TimingRequest:
    return TimingRequest(
        threads=settings.threads,
        plan=_turn(settings),
        slowest_s=_SLOWEST_S,
        provider=candidate.provider,
    )


def _broken(
    connection: Connection, settings: Settings, place: str, provider: str
) -> tuple[str, ...] | None:
    """Return the golden samples that the provider predicts differently; None for the CPU.

    Accuracy is verified on this machine's CPU, so a provider must reproduce the same outputs.
    """
    if provider == CPU:
        return None
    replayed = replay_golden(
        connection,
        settings.device,
        place,
        threads=settings.threads,
        timeout_s=start_s(provider),
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
    count = {"count": _EMULATED_COUNT, "rounds": 1, "most_rounds": 1}
    return {"seconds": 0.0, "sustained": 0.0, **count}


def _table(job: Job) -> BenchmarkTable:
    table = job.tables["benchmark"]
    if not isinstance(table, BenchmarkTable):
        raise TypeError(f"the table of 'benchmark' is a {type(table).__name__}")
    return table


def _summary(facts: BenchmarkFacts) -> str:
    """Return for example ``8 timed, fastest onnx int8: p95 0.61 ms [0.60 0.63], p50 0.58 ms``."""
    num, first = len(facts.candidates), facts.candidates[0].latency
    if not first.measured:
        count = sum(each.latency.count for each in facts.candidates)
        return f"{num} run, {count} inferences; {first.provenance}, so no speed"
    fastest = min(facts.candidates, key=lambda each: rounds_of(each.latency).typical)
    times, latency = [], fastest.latency
    if latency.p95 is not None:
        times.append(
            f"p95 {latency.p95.value:.2f} ms [{latency.p95.low:.2f} {latency.p95.high:.2f}]"
        )
    if latency.p50 is not None:
        times.append(f"p50 {latency.p50.value:.2f} ms")
    text = f"{num} timed, fastest {fastest.candidate.name}: {', '.join(times)}"
    disturbed = sum(each.latency.interfered for each in facts.candidates)
    return f"{text}; {disturbed} disturbed by other programs" if disturbed else text


STAGE = Stage(
    name="benchmark",
    version=5,
    needs=("float", "quantized", "operating point"),
    makes="latency",
    options=BenchmarkTable,
    plan=_plan,
    tools=_tools,
    facts=BenchmarkFacts,
    run=_run,
    summary=_summary,
    check=_check,
    missing=_missing,
    measured=True,
    cores=Cores.MACHINE,
    quick={"seconds": 0.02, "most_rounds": 8},
)
