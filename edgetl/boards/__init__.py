"""Compare a device with a target's profile: whether it is that board and can run the models."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from edgetl.boards.remote_runtime import run_json
from edgetl.config.board import OLDEST_PYTHON, Board, Feature, System
from edgetl.config.target import Target
from edgetl.devices import Device
from edgetl.errors import ConfigError, Problem
from edgetl.runtime.engines import first_for_numpy_2, least_versions, packages
from edgetl.runtime.packages import (
    LEAST_VERSIONS,
    NUMPY_1,
    FirstForNumpy2,
    is_built_for_numpy_1,
    is_older,
    parse_version,
)
from edgetl.types import Facts, Provenance

_PROBE = Path(__file__).with_name("_probe.py")
_PROBE_TIMEOUT_S = 120.0
_OTHER_PYTHON = "ssh://user@host?python=/path/to/python"
_MEMORY_SHARE = 0.75
"""Firmware, GPU and kernel reserve up to a quarter of a small board's memory."""
_FLAGS: Mapping[Feature, frozenset[str]] = {
    Feature.DOTPROD: frozenset({"asimddp"}),
    Feature.I8MM: frozenset({"i8mm"}),
    Feature.AVX2: frozenset({"avx2"}),
    Feature.VNNI: frozenset({"avx_vnni", "avx512_vnni"}),
}
"""CPU flags in ``/proc/cpuinfo``; any one of them indicates the feature."""


class Aspect(StrEnum):
    """Part of a device that a line of the comparison is about."""

    MACHINE = "machine"
    """A mismatch means a different machine."""
    PYTHON = "python"
    """A mismatch means the right machine with an unsupported system or Python."""
    PACKAGE = "package"
    """A mismatch means that a package is missing or too old."""


@dataclass(frozen=True, slots=True)
class Line:
    """One property of a device compared with the profile."""

    name: str
    expected: str
    actual: str
    ok: bool | None
    """None if not compared, because an emulation cannot show it."""
    aspect: Aspect
    requirement: str = ""
    """Requirement for pip, where `aspect` is a package."""
    identifies: bool = False
    """Whether the property is specific to the board, such as its model or CPU part."""

    def __str__(self) -> str:
        """Return name, actual and expected value, for messages."""
        return f"{self.name} {self.actual} (expected {self.expected})"


def probe(device: Device, *targets: Target) -> Facts:
    """Return facts about `device` and the packages that `targets` need; see `edgetl.boards._probe`.

    Raises:
        DeviceError: If it cannot be reached, stays in use for too long, or its Python fails.
    """
    engines = (engine for target in targets for engine in target.format_providers())
    names = dict.fromkeys(
        (*LEAST_VERSIONS, *(name for engine in engines for name in packages(*engine)))
    )
    with device.connect() as connection:
        connection.put({_PROBE.name: _PROBE})
        return run_json(
            connection,
            device.address,
            [_PROBE.name, *names],
            what="a description of the machine",
            timeout_s=_PROBE_TIMEOUT_S,
        )


def compare(target: Target, facts: Facts, *, emulated: bool = False) -> tuple[Line, ...]:
    """Return the comparison of `facts` with every property of the profile.

    More cores, memory or features and newer versions than the profile states also match.

    Args:
        target: The profile; without a board only Python and packages are compared.
        facts: Result of `probe`.
        emulated: Whether the device is emulated: it reports the host's memory and another model.
    """
    if target.board is None:
        oldest = ".".join(str(number) for number in OLDEST_PYTHON)
        is_new = parse_version(facts["python"]) >= OLDEST_PYTHON
        python = Line("Python", f"{oldest} or newer", facts["python"], is_new, Aspect.PYTHON)
        return python, *_packages(target, None, facts)
    system = _system(target.board, facts)
    return (
        *_identity(target.board, facts, emulated=emulated),
        *_processor(target.board, facts, emulated=emulated),
        *_python(target.board, system, facts),
        *_packages(target, system, facts),
    )


def require(target: Target, device: Device, facts: Facts, lines: Sequence[Line]) -> None:
    """Raise an error if the device does not match the target.

    Raises:
        ConfigError: If a line does not match. Only the first mismatched aspect is reported, since
            installing packages on the wrong machine would be useless.
    """
    wrong = [line for line in lines if line.ok is False]
    if not wrong:
        return
    aspects = {line.aspect for line in wrong}
    aspect = next(aspect for aspect in Aspect if aspect in aspects)
    summary = {
        Aspect.MACHINE: "is a different machine",
        Aspect.PYTHON: "has a different system or Python",
        Aspect.PACKAGE: "lacks packages",
    }[aspect]
    reported = [line for line in wrong if line.aspect is aspect]
    raise ConfigError(
        f"targets/{target.name}.yaml",
        [Problem("", f"device '{device.address}' {summary}: {', '.join(map(str, reported))}")],
        remedy=_remedy(target, device, facts, reported),
    )


def require_machine(target: Target, device: Device) -> None:
    """Raise an error if `device` is a different machine than the target's board.

    Otherwise its predictions and latencies would be attributed to that board. Python and packages
    are not checked. A target without a board matches any machine.

    Raises:
        DeviceError: If it cannot be reached.
        ConfigError: If it is a different machine.
    """
    if target.board is None:
        return
    facts = probe(device, target)
    emulated = device.provenance == Provenance.EMULATED
    lines = compare(target, facts, emulated=emulated)
    require(target, device, facts, [line for line in lines if line.aspect is Aspect.MACHINE])


def _remedy(target: Target, device: Device, facts: Facts, wrong: Sequence[Line]) -> str:
    aspect = wrong[0].aspect
    if aspect is Aspect.MACHINE:
        return (
            "name the right device, or write a profile of this one; for an example see "
            f"'edgetl targets show {target.name}'"
        )
    if device.provenance == Provenance.EMULATED:
        return "name an emulation with that system and engine, or remove the format from the target"
    if aspect is Aspect.PYTHON:
        return (
            f"name a supported Python on the device ({_OTHER_PYTHON}), or add this system to "
            f"targets/{target.name}.yaml in your folder"
        )
    python = shlex.quote(facts["executable"])
    install = f"-m pip install {shlex.join(line.requirement for line in wrong)}"
    if facts["pip_is_refused"]:
        return (
            f"on the device: {python} -m venv ~/edgetl && ~/edgetl/bin/python {install}; then name "
            f"that Python ({_OTHER_PYTHON})"
        )
    return f"on the device: {python} {install}"


def _identity(board: Board, facts: Facts, *, emulated: bool) -> Iterator[Line]:
    identity = board.identity

    def line(name: str, expected: str, actual: str | None, *, ok: bool | None) -> Line:
        return Line(name, expected, _or_missing(actual), ok, Aspect.MACHINE, identifies=True)

    if identity.device_tree_model:
        model = facts["device_tree_model"]
        ok = (model or "").startswith(identity.device_tree_model)
        yield line(
            "board", " or ".join(identity.device_tree_model), model, ok=None if emulated else ok
        )
    if identity.tegra_release is not None:
        release = facts["tegra_release"]
        ok = (release or "").startswith(identity.tegra_release)
        short = release and release.partition(",")[0]
        yield line("Tegra release", identity.tegra_release, short, ok=None if emulated else ok)
    if identity.model_name is not None:
        ok = (facts["model_name"] or "").startswith(identity.model_name)
        yield line("model name", identity.model_name, facts["model_name"], ok=ok)
    if identity.cpu_part:
        parts = facts["cpu_parts"]
        ok = bool(parts) and set(parts) <= set(identity.cpu_part)
        yield line("CPU part", " or ".join(identity.cpu_part), ", ".join(parts), ok=ok)


def _processor(board: Board, facts: Facts, *, emulated: bool) -> Iterator[Line]:
    machine = Aspect.MACHINE
    same = facts["machine"] == board.architecture
    yield Line("architecture", board.architecture, facts["machine"], same, machine)
    enough = facts["cores"] >= board.cores
    yield Line("cores", str(board.cores), str(facts["cores"]), enough, machine)
    features = [name for name, flags in _FLAGS.items() if flags & set(facts["flags"])]
    yield Line(
        "features",
        ", ".join(board.features) or "none needed",
        ", ".join(features) or "none",
        set(board.features) <= set(features),
        machine,
    )
    memory = facts["memory_mib"]
    fits = memory is not None and memory >= _MEMORY_SHARE * board.memory_mib
    yield Line(
        "memory",
        f"{board.memory_mib} MiB installed",
        _or_missing(memory and f"{memory} MiB usable"),
        None if emulated else fits,
        machine,
    )


def _system(board: Board, facts: Facts) -> System:
    """Return the profile's system most similar to the machine's; the first one on a tie."""
    python, glibc = parse_version(facts["python"])[:2], parse_version(facts["glibc"] or "")

    def similarity(system: System) -> tuple[bool, bool]:
        return parse_version(system.python)[:2] == python, parse_version(system.glibc) <= glibc

    return max(board.systems, key=similarity)


def _python(board: Board, system: System, facts: Facts) -> Iterator[Line]:
    pythons = list(dict.fromkeys(system.python for system in board.systems))
    ok = parse_version(facts["python"])[:2] == parse_version(system.python)[:2]
    yield Line("Python", " or ".join(pythons), facts["python"], ok, Aspect.PYTHON)
    glibc = facts["glibc"]
    new = glibc is not None and parse_version(glibc) >= parse_version(system.glibc)
    yield Line("glibc", f"{system.glibc} ({system.os})", _or_missing(glibc), new, Aspect.PYTHON)


def _packages(target: Target, system: System | None, facts: Facts) -> Iterator[Line]:
    installed: Mapping[str, str | None] = facts["packages"]
    old_engines = _engines_for_numpy_1(target, installed)
    for name, least in LEAST_VERSIONS.items():
        version = installed[name]
        ok = version is not None and not is_older(version, least)
        expected, requirement = f"{least} or newer", f"{name}>={least}"
        if name == "numpy" and old_engines:
            ok = ok and is_older(version or "", "2")
            expected = f"{expected}, below 2 for {', '.join(old_engines)}"
            requirement = NUMPY_1
        actual = _or_missing(version)
        yield Line(name, expected, actual, ok, Aspect.PACKAGE, requirement=requirement)
    for key, (kind, provider) in zip(target.candidates, target.format_providers(), strict=True):
        names = packages(kind, provider)
        yield _engine(key, names, least_versions(kind), system, installed)


def _engines_for_numpy_1(target: Target, installed: Mapping[str, str | None]) -> list[str]:
    """Return the installed engines that do not run with numpy 2, with their versions."""
    first: dict[str, FirstForNumpy2] = {}
    used: list[str] = []
    for kind, provider in target.format_providers():
        first.update(first_for_numpy_2(kind))
        used += [name for name in packages(kind, provider) if installed[name]][:1]
    return [
        f"{name} {installed[name]}"
        for name in dict.fromkeys(used)
        if name in first and is_built_for_numpy_1(installed[name], first[name])
    ]


def _engine(
    key: str,
    names: Sequence[str],
    least: Mapping[str, str],
    system: System | None,
    installed: Mapping[str, str | None],
) -> Line:
    stated = {name: system.engines[name] for name in names if system and name in system.engines}
    # The runtime uses the first installed one. Of a package that the profile does not state, such
    # as a vendor's own build, any version passes that the engine runs with.
    first = next((name for name in names if installed[name]), None)
    version = installed[first] if first else None
    if first and version and first not in stated and is_older(version, least.get(first, "0")):
        stated = {first: least[first]}
    ok = version is not None and (
        first not in stated or parse_version(version) >= parse_version(stated[first])
    )
    best = next(iter(stated), names[0])
    return Line(
        f"engine of {key}",
        f"{best} {stated[best]}" if best in stated else " or ".join(names),
        f"{first} {version}" if first else "not found",
        ok,
        Aspect.PACKAGE,
        requirement=f"{best}=={stated[best]}" if best in stated else best,
    )


def _or_missing(value: str | None) -> str:
    return value or "not found"
