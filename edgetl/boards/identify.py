"""Which target's board a live machine is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgetl.boards import Ground, Line, compare
from edgetl.config.target import Target
from edgetl.devices import Device
from edgetl.errors import ConfigError, Problem, UsageError
from edgetl.types import Facts, Provenance

_NEAREST = 2
"""How many targets a message names where none fits."""


@dataclass(frozen=True, slots=True)
class _Likeness:
    target: Target
    wrong: tuple[Line, ...]
    proofs: int
    """Lines that fit and that hardly another kind of machine has."""


def identify(targets: Sequence[Target], device: Device, facts: Facts) -> Target:
    """Return the target whose board `device` is; of several that fit, the one with most proofs.

    A PC with an N100 is any PC with AVX2 too, but proves more.

    Args:
        targets: Those without a board are left out: any machine is one.
        device: The device that was probed.
        facts: The result of `edgetl.boards.probe`.

    Raises:
        ConfigError: If it is none of them; with the nearest and what differs.
        UsageError: If it could be several, which prove the same.
    """
    emulated = device.provenance == Provenance.EMULATED
    known = sorted(
        (_likeness(target, facts, emulated=emulated) for target in targets if target.board),
        key=lambda each: (len(each.wrong), -each.proofs, each.target.name),
    )
    fitting = [each for each in known if not each.wrong]
    if not fitting:
        raise _none(known[:_NEAREST], device)
    best = [each.target.name for each in fitting if each.proofs == fitting[0].proofs]
    if len(best) > 1:
        raise UsageError(
            f"device '{device.address}' could be {' or '.join(best)}: what it says fits them alike",
            remedy=f"name the one that is meant: edgetl targets check {best[0]} --device "
            f"{device.address}",
        )
    return fitting[0].target


def _likeness(target: Target, facts: Facts, *, emulated: bool) -> _Likeness:
    lines = compare(target, facts, emulated=emulated)
    wrong = tuple(line for line in lines if line.ground is Ground.MACHINE and line.ok is False)
    return _Likeness(target, wrong, sum(1 for line in lines if line.proves and line.ok))


def _none(nearest: Sequence[_Likeness], device: Device) -> ConfigError:
    told = "; ".join(
        f"'{each.target.name}' but for {', '.join(map(str, each.wrong))}" for each in nearest
    )
    problems = [Problem("", f"device '{device.address}' is the board of none; nearest: {told}")]
    example = nearest[0].target.name if nearest else "rpi4"
    return ConfigError(
        "targets",
        problems,
        remedy=f"write a profile of it ('edgetl targets show {example}' is an example), or compare "
        f"it with one: edgetl targets check {example} --device {device.address}",
    )
