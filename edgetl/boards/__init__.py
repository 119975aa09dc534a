"""Compare a live machine with a target's profile: is it that board, and can it run the models."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from edgetl.boards.remote_runtime import run_json
from edgetl.config.board import (
    OLDEST_PYTHON,
    Board,
    Feature,
    System,
    parse_version,
)
from edgetl.config.target import Target
from edgetl.devices import Device
from edgetl.errors import ConfigError, Problem
from edgetl.runtime.engines import packages
from edgetl.types import Facts, Provenance

_PROBE = Path(__file__).with_name("_probe.py")
_PROBE_TIMEOUT_S = 120.0
_IMAGES = ("numpy", "pillow")
"""What the runtime needs besides an engine."""
_OTHER_PYTHON = "ssh://user@host?python=/path/to/python"
_MEMORY_SHARE = 0.75
"""Firmware, GPU and kernel keep up to a quarter of a small board's memory from Linux."""
_FLAGS: Mapping[Feature, frozenset[str]] = {
    Feature.DOTPROD: frozenset({"asimddp"}),
    Feature.I8MM: frozenset({"i8mm"}),
    Feature.AVX2: frozenset({"avx2"}),
    Feature.VNNI: frozenset({"avx_vnni", "avx512_vnni"}),
}
"""Any of which ``/proc/cpuinfo`` shows where the feature is there."""


class Ground(StrEnum):
    """What a difference means."""

    MACHINE = "machine"
    """It is another machine."""
    PYTHON = "python"
    """It is the machine, with a Python that is not meant."""
    PACKAGE = "package"
    """A package is missing or too old."""


@dataclass(frozen=True, slots=True)
class Line:
    """One property of a profile compared with the device."""

    what: str
    expected: str
    found: str
    ok: bool | None
    """None: an emulation cannot show it, so it is not compared."""
    ground: Ground
    wanted: str = ""
    """For pip, where `ground` is a package."""
    proves: bool = False
    """Whether hardly another kind of machine has this, as its model and CPU part."""

    def __str__(self) -> str:
        """Return what differs, for messages."""
        return f"{self.what} {self.found} (expected {self.expected})"


def probe(device: Device, *targets: Target) -> Facts:
    """Return what `device` says of itself, and of what `targets` need; see `edgetl.boards._probe`.

    Raises:
        DeviceError: If it cannot be reached, is in use for too long, or its Python does not run.
    """
    engines = (engine for target in targets for engine in target.format_providers())
    names = dict.fromkeys((*_IMAGES, *(name for engine in engines for name in packages(*engine))))
    with device.connect() as connection:
        connection.put({_PROBE.name: _PROBE})
        return run_json(
            connection,
            device.address,
            [_PROBE.name, *names],
            what="what it is",
            timeout_s=_PROBE_TIMEOUT_S,
        )


def compare(target: Target, facts: Facts, *, emulated: bool = False) -> tuple[Line, ...]:
    """Return every property of the profile compared with `facts`.

    More than the profile states is as good: cores, memory, features, newer versions.

    Args:
        target: The profile; without a board only Python and packages are compared.
        facts: The result of `probe`.
        emulated: Whether it is an emulation, which shows this machine's memory and another model.
    """
    if target.board is None:
        oldest = ".".join(str(number) for number in OLDEST_PYTHON)
        is_new = parse_version(facts["python"]) >= OLDEST_PYTHON
        python = Line("Python", f"{oldest} or newer", facts["python"], is_new, Ground.PYTHON)
        return python, *_packages(target, None, facts)
    system = _system(target.board, facts)
    return (
        *_identity(target.board, facts, emulated=emulated),
        *_processor(target.board, facts, emulated=emulated),
        *_python(target.board, system, facts),
        *_packages(target, system, facts),
    )


def require(target: Target, device: Device, facts: Facts, lines: Sequence[Line]) -> None:
    """Raise what is wrong, if anything is.

    Raises:
        ConfigError: If a line differs; with the remedy for the first kind of difference, because a
            package for another machine is of no use.
    """
    wrong = [line for line in lines if line.ok is False]
    if not wrong:
        return
    grounds = {line.ground for line in wrong}
    ground = next(ground for ground in Ground if ground in grounds)
    said = {
        Ground.MACHINE: "is another machine",
        Ground.PYTHON: "has another system or Python",
        Ground.PACKAGE: "lacks packages",
    }[ground]
    named = [line for line in wrong if line.ground is ground]
    raise ConfigError(
        f"targets/{target.name}.yaml",
        [Problem("", f"device '{device.address}' {said}: {', '.join(map(str, named))}")],
        remedy=_remedy(target, device, facts, named),
    )


def require_machine(target: Target, device: Device) -> None:
    """Raise if `device` is another machine than the target's board.

    What it answers and how fast it is would else be said of that board. Its Python and packages may
    be any that run the models; a target without a board is whatever machine it is run on.

    Raises:
        DeviceError: If it cannot be reached.
        ConfigError: If it is another machine.
    """
    if target.board is None:
        return
    facts = probe(device, target)
    emulated = device.provenance == Provenance.EMULATED
    lines = compare(target, facts, emulated=emulated)
    require(target, device, facts, [line for line in lines if line.ground is Ground.MACHINE])


def _remedy(target: Target, device: Device, facts: Facts, wrong: Sequence[Line]) -> str:
    ground = wrong[0].ground
    if ground is Ground.MACHINE:
        return (
            "name the device that it is, or write a profile of this one: "
            f"'edgetl targets show {target.name}' is an example"
        )
    if device.provenance == Provenance.EMULATED:
        return "name the emulation with that system and engine, or take the format out"
    if ground is Ground.PYTHON:
        return (
            f"name a Python there that fits ({_OTHER_PYTHON}), or add this system to "
            f"targets/{target.name}.yaml in your folder"
        )
    python = shlex.quote(facts["executable"])
    install = f"-m pip install {shlex.join(line.wanted for line in wrong)}"
    if facts["pip_is_refused"]:
        return (
            f"there: {python} -m venv ~/edgetl && ~/edgetl/bin/python {install}; then name it "
            f"({_OTHER_PYTHON})"
        )
    return f"there: {python} {install}"


def _identity(board: Board, facts: Facts, *, emulated: bool) -> Iterator[Line]:
    identity = board.identity

    def line(what: str, expected: str, told: str | None, *, ok: bool | None) -> Line:
        return Line(what, expected, _told(told), ok, Ground.MACHINE, proves=True)

    if identity.device_tree_model:
        model = facts["device_tree_model"]
        ok = (model or "").startswith(identity.device_tree_model)
        yield line(
            "board", " or ".join(identity.device_tree_model), model, ok=None if emulated else ok
        )
    if identity.tegra_release is not None:
        release = facts["tegra_release"]
        ok = (release or "").startswith(identity.tegra_release)
        told = release and release.partition(",")[0]
        yield line("Tegra release", identity.tegra_release, told, ok=None if emulated else ok)
    if identity.model_name is not None:
        ok = (facts["model_name"] or "").startswith(identity.model_name)
        yield line("model name", identity.model_name, facts["model_name"], ok=ok)
    if identity.cpu_part:
        parts = facts["cpu_parts"]
        ok = bool(parts) and set(parts) <= set(identity.cpu_part)
        yield line("CPU part", " or ".join(identity.cpu_part), ", ".join(parts), ok=ok)


def _processor(board: Board, facts: Facts, *, emulated: bool) -> Iterator[Line]:
    machine = Ground.MACHINE
    same = facts["machine"] == board.architecture
    yield Line("architecture", board.architecture, facts["machine"], same, machine)
    enough = facts["cores"] >= board.cores
    yield Line("cores", str(board.cores), str(facts["cores"]), enough, machine)
    there = [name for name, flags in _FLAGS.items() if flags & set(facts["flags"])]
    yield Line(
        "features",
        ", ".join(board.features) or "none needed",
        ", ".join(there) or "none",
        set(board.features) <= set(there),
        machine,
    )
    memory = facts["memory_mib"]
    fits = memory is not None and memory >= _MEMORY_SHARE * board.memory_mib
    yield Line(
        "memory",
        f"{board.memory_mib} MiB fitted",
        _told(memory and f"{memory} MiB usable"),
        None if emulated else fits,
        machine,
    )


def _system(board: Board, facts: Facts) -> System:
    """Return the system of the profile that is most like the machine's; ties go to the first."""
    python, glibc = parse_version(facts["python"])[:2], parse_version(facts["glibc"] or "")

    def likeness(system: System) -> tuple[bool, bool]:
        return parse_version(system.python)[:2] == python, parse_version(system.glibc) <= glibc

    return max(board.systems, key=likeness)


def _python(board: Board, system: System, facts: Facts) -> Iterator[Line]:
    pythons = list(dict.fromkeys(system.python for system in board.systems))
    ok = parse_version(facts["python"])[:2] == parse_version(system.python)[:2]
    yield Line("Python", " or ".join(pythons), facts["python"], ok, Ground.PYTHON)
    glibc = facts["glibc"]
    new = glibc is not None and parse_version(glibc) >= parse_version(system.glibc)
    yield Line("glibc", f"{system.glibc} ({system.os})", _told(glibc), new, Ground.PYTHON)


def _packages(target: Target, system: System | None, facts: Facts) -> Iterator[Line]:
    installed: Mapping[str, str | None] = facts["packages"]
    for name in _IMAGES:
        there = installed[name] is not None
        yield Line(name, "any", _told(installed[name]), there, Ground.PACKAGE, wanted=name)
    for key, (kind, provider) in zip(target.candidates, target.format_providers(), strict=True):
        yield _engine(key, packages(kind, provider), system, installed)


def _engine(
    key: str, names: Sequence[str], system: System | None, installed: Mapping[str, str | None]
) -> Line:
    stated = {name: system.engines[name] for name in names if system and name in system.engines}
    # The runtime takes the first that is there; of one that the profile does not state, built by
    # whoever installed it, any version will do.
    first = next((name for name in names if installed[name]), None)
    version = installed[first] if first else None
    ok = version is not None and (
        first not in stated or parse_version(version) >= parse_version(stated[first])
    )
    best = next(iter(stated), names[0])
    return Line(
        f"engine of {key}",
        f"{best} {stated[best]}" if best in stated else " or ".join(names),
        f"{first} {version}" if first else "not found",
        ok,
        Ground.PACKAGE,
        wanted=f"{best}=={stated[best]}" if best in stated else best,
    )


def _told(value: str | None) -> str:
    return value or "not found"
