"""Stages that add their inputs, and leave behind when and by which process that was done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pydantic import Field

from edgetl.config.table import Table
from edgetl.errors import (
    ConfigError,
    DataError,
    DeviceError,
    EdgetlError,
    MissingPackage,
    MissingPackageError,
    PluginError,
    Problem,
    StoreError,
    UsageError,
)
from edgetl.facts import FactsModel
from edgetl.runtime.errors import BundleError, EngineError, ImageError
from edgetl.stages import Cores, Job, Node, Planned, Stage, Workspace
from edgetl.store.store import Artifact


class OwnError(EdgetlError):
    """An error of the package, with a constructor of its own."""

    exit_code = ConfigError.exit_code

    def __init__(self, number: int, *, colour: str) -> None:
        super().__init__(f"{number} is {colour}", remedy=f"paint {number}")
        self.colour = colour


ERRORS: Mapping[str, Callable[[], BaseException]] = {
    "bundle": lambda: BundleError("'a' is missing", remedy="copy it"),
    "config": lambda: ConfigError("r.yaml", [Problem("a.b", "is 3", 7)], remedy="edit a.b"),
    "data": lambda: DataError("no images", remedy="add some"),
    "device": lambda: DeviceError("no route", remedy="try again"),
    "engine": lambda: EngineError("no engine", remedy="pip install it"),
    "file": lambda: PermissionError(13, "Permission denied", "/a/b"),
    "full": lambda: OSError(28, "No space left on device", "/a"),
    "image": lambda: ImageError("cut off", remedy="save it again"),
    "memory": lambda: MemoryError("2 TiB"),
    "missing": lambda: MissingPackageError.of([MissingPackage("adding", "adder", "x[add]")]),
    "network": lambda: ConnectionResetError(104, "Connection reset by peer"),
    "odd": lambda: OSError("without a number"),
    "own": lambda: OwnError(4, colour="red"),
    "plugin": lambda: PluginError("it is broken", remedy="update it"),
    "store": lambda: StoreError("damaged", remedy="repair it"),
    "usage": lambda: UsageError("unknown", remedy="choose another"),
}


class Step(Table):
    number: int
    sleep_s: float = 0.0
    error: str = ""
    """A key of `ERRORS`, ``bug`` for one that nobody expects."""
    package: str = ""
    """Its only tool."""
    counts_threads: bool = False
    """Whether the threads of torch are added as well."""
    kill_file: str = Field(default="", exclude=True)
    """Has how often the process is to be killed in the middle of its sleep."""
    forks: bool = Field(default=False, exclude=True)
    """Whether the process is to be forked, before it is killed."""
    child_file: str = Field(default="", exclude=True)
    """Gets the number of a child process that sleeps for long."""


class StepFacts(FactsModel):
    value: int


def _run(settings: Step, inputs: Mapping[str, Artifact], work: Workspace) -> StepFacts:
    started = time.monotonic()
    (work.out / "half.txt").write_text("half", encoding="utf-8")
    if settings.child_file:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(settings.child_file).write_text(f"{os.getpid()} {child.pid} ", encoding="utf-8")
    if settings.forks and os.fork() == 0:
        time.sleep(600)
    time.sleep(settings.sleep_s / 2)
    if settings.kill_file:
        _die(Path(settings.kill_file))
    work.progress.step(1, 2, "half")
    time.sleep(settings.sleep_s / 2)
    if settings.error == "bug":
        raise LookupError("nobody expects this")
    if settings.error:
        error = ERRORS[settings.error]()
        raise error
    work.progress.note("added")
    value = settings.number + sum(each.read(StepFacts).value for each in inputs.values())
    if settings.counts_threads:
        import torch

        value += torch.get_num_threads()
    (work.out / "half.txt").rename(work.out / "value.txt")
    (work.out / "value.txt").write_text(str(value), encoding="utf-8")
    span = {"started": started, "ended": time.monotonic(), "process": os.getpid()}
    (work.logs / "span.json").write_text(json.dumps(span), encoding="utf-8")
    return StepFacts(value=value)


def _die(counter: Path) -> None:
    left = int(counter.read_text(encoding="utf-8"))
    if left:
        counter.write_text(str(left - 1), encoding="utf-8")
        os.kill(os.getpid(), signal.SIGKILL)


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    del job, made
    return ()


def _tools(settings: Step) -> tuple[str, ...]:
    return (settings.package,) if settings.package else ()


def _summary(facts: StepFacts) -> str:
    return str(facts.value)


def _stage(name: str, cores: Cores, memory_mib: int) -> Stage[StepFacts]:
    return Stage(
        name=name,
        version=1,
        needs=(),
        makes=name,
        options=Table,
        plan=_plan,
        tools=_tools,
        facts=StepFacts,
        run=_run,
        summary=_summary,
        cores=cores,
        memory_mib=memory_mib,
    )


ONE = _stage("acme-one", Cores.ONE, 1)
ALL = _stage("acme-all", Cores.ALL, 1)
MACHINE = _stage("acme-machine", Cores.MACHINE, 1)
LARGE = _stage("acme-large", Cores.ONE, 1 << 30)
"""Needs a petabyte."""
