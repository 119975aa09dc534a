"""Identify the target whose board a device is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgetl.boards import Aspect, Line, compare
from edgetl.config.target import Target
from edgetl.devices import Device
from edgetl.errors import ConfigError, Problem, UsageError
from edgetl.types import Facts, Provenance

_NEAREST = 2
"""Number of targets that the message names if none matches."""


@dataclass(frozen=True, slots=True)
class _Match:
    target: Target
    mismatches: tuple[Line, ...]
    num_identifying: int
    """Matching lines that are specific to the board."""


def identify(targets: Sequence[Target], device: Device, facts: Facts) -> Target:
    """Return the target whose board `device` is.

    If several match, the one with the most board-specific lines wins: a PC with an N100 also
    matches the target for any PC with AVX2, but its own target names the model.

    Args:
        targets: Candidates; those without a board are ignored, as they match any machine.
        device: The device that `facts` describes.
        facts: Result of `edgetl.boards.probe`.

    Raises:
        ConfigError: If none matches; names the nearest ones and their mismatches.
        UsageError: If several match equally well.
    """
    emulated = device.provenance == Provenance.EMULATED
    ranked = sorted(
        (_match(target, facts, emulated=emulated) for target in targets if target.board),
        key=lambda each: (len(each.mismatches), -each.num_identifying, each.target.name),
    )
    matching = [each for each in ranked if not each.mismatches]
    if not matching:
        raise _no_match(ranked[:_NEAREST], device)
    most = matching[0].num_identifying
    best = [each.target.name for each in matching if each.num_identifying == most]
    if len(best) > 1:
        raise UsageError(
            f"device '{device.address}' could be {' or '.join(best)}: it matches them equally well",
            remedy=f"name the right one: edgetl targets check {best[0]} --device {device.address}",
        )
    return matching[0].target


def _match(target: Target, facts: Facts, *, emulated: bool) -> _Match:
    lines = compare(target, facts, emulated=emulated)
    mismatches = tuple(line for line in lines if line.aspect is Aspect.MACHINE and line.ok is False)
    return _Match(target, mismatches, sum(1 for line in lines if line.identifies and line.ok))


def _no_match(nearest: Sequence[_Match], device: Device) -> ConfigError:
    differences = "; ".join(
        f"'{each.target.name}' except for {', '.join(map(str, each.mismatches))}"
        for each in nearest
    )
    problem = f"device '{device.address}' matches no target; nearest: {differences}"
    example = nearest[0].target.name if nearest else "rpi4"
    return ConfigError(
        "targets",
        [Problem("", problem)],
        remedy=f"write a profile of it (for an example see 'edgetl targets show {example}'), or "
        f"compare it with one: edgetl targets check {example} --device {device.address}",
    )
