"""Targets and other files that are known by name, and the comparison of a device with a target."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from edgetl.api.arguments import as_optional_text
from edgetl.boards import Line, compare, probe, require
from edgetl.boards.identify import identify
from edgetl.config.calibration import Calibration
from edgetl.config.load import known_files, load_calibration, load_target
from edgetl.config.target import Target
from edgetl.devices import Device, check_address, open_device
from edgetl.errors import ConfigError, UsageError, join_errors
from edgetl.types import Facts, Provenance

_VERDICTS = {True: "ok", False: "no", None: "not compared"}


@dataclass(frozen=True, slots=True, repr=False)
class TargetCheck:
    """The comparison of a device with a target; its text is a line for each property."""

    target: Target
    device: Device
    facts: Facts
    """What the device states about itself: cores, memory, system, Python, packages."""
    properties: tuple[Line, ...]
    """Each with the expected and the actual value."""

    @property
    def emulated(self) -> bool:
        """Whether the device is emulated."""
        return self.device.provenance == Provenance.EMULATED

    @property
    def matches(self) -> bool:
        """Whether no compared property differs."""
        return all(each.ok is not False for each in self.properties)

    def require(self) -> None:
        """Return if the device is the target's board and can run its models.

        Raises:
            ConfigError: If it is not; states what differs, and what to install.
        """
        require(self.target, self.device, self.facts, self.properties)

    def rows(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield name, expected value, actual value and verdict of each property."""
        for each in self.properties:
            yield each.name, each.expected, each.actual, _VERDICTS[each.ok]

    def as_json(self) -> Facts:
        """Return everything as plain JSON, as ``edgetl targets check --json`` prints it."""
        return {
            "target": self.target.name,
            "device": self.device.address,
            "provenance": self.device.provenance,
            "lines": [dataclasses.asdict(each) for each in self.properties],
            "facts": self.facts,
        }

    def __repr__(self) -> str:
        """Return a line for each property."""
        lines = (f"  {name}: {want}; {is_} ({ok})" for name, want, is_, ok in self.rows())
        return "\n".join((f"{self.device.address} as {self.target.name}:", *lines))


def list_targets() -> tuple[Target, ...]:
    """Return the targets of the working directory and edgetl's own, sorted by name.

    Raises:
        ConfigError: If files of targets are wrong; with all their problems.
    """
    valid, broken = read_targets()
    if broken:
        raise join_errors(broken)
    return valid


def read_targets() -> tuple[tuple[Target, ...], tuple[ConfigError, ...]]:
    """Return all targets whose files are right, and the errors of the others."""
    valid, broken = [], []
    for name in sorted(known_files("targets")):
        try:
            valid.append(load_target(name, check_address=check_address))
        except ConfigError as error:
            broken.append(error)
    return tuple(valid), tuple(broken)


def list_calibrations() -> tuple[Calibration, ...]:
    """Return the calibration recipes of the working directory and edgetl's own, sorted by name.

    Raises:
        ConfigError: If one is wrong; with all problems of the first.
    """
    return tuple(map(load_calibration, sorted(known_files("calibration"))))


def list_recipes() -> tuple[str, ...]:
    """Return the recipes that `plan` and `run` accept by name, sorted."""
    return tuple(sorted(known_files("recipes")))


def check_target(name: str | None = None, *, device: str | None = None) -> TargetCheck:
    """Compare a device with a target: whether it is that board, and can run its models.

    A difference is no error: see `TargetCheck.matches` and `TargetCheck.require`.

    Args:
        name: The target; None to identify it from the device.
        device: Address of the device; None for the target's own.

    Raises:
        UsageError: If an argument is of the wrong type, or there is no device.
        ConfigError: If the target is wrong, or no target is like the device.
        DeviceError: If the device cannot be reached.
    """
    known, address = as_optional_text("name", name), as_optional_text("device", device)
    named = open_device(address) if address else None
    if known is not None:
        target = load_target(known, check_address=check_address)
        machine = named or _own_device(target)
        facts = probe(machine, target)
    elif named is None:
        raise UsageError(
            "neither a target nor a device was given",
            remedy="edgetl targets check --device ssh://user@host",
        )
    else:
        machine, every = named, list_targets()
        facts = probe(machine, *every)
        target = identify(every, machine, facts)
    emulated = machine.provenance == Provenance.EMULATED
    return TargetCheck(target, machine, facts, compare(target, facts, emulated=emulated))


def _own_device(target: Target) -> Device:
    if target.device is None:
        raise UsageError(
            f"targets/{target.name}.yaml names no device",
            remedy=f"edgetl targets check {target.name} --device ssh://user@host",
        )
    return open_device(target.device)
