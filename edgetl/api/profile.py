"""``edgetl.profile``: measure the cost of operations on a device, for estimates."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgetl.api.arguments import (
    PathLike,
    as_optional_count,
    as_optional_path,
    as_optional_text,
    as_texts,
)
from edgetl.config.load import load_target
from edgetl.config.target import Target
from edgetl.devices import Device, check_address, open_device
from edgetl.errors import UsageError
from edgetl.runtime import engines
from edgetl.types import Precision

if TYPE_CHECKING:  # help must not wait for numpy
    from edgetl.estimator.cost_profile import CostProfile

DEFAULT_TARGET = "host"
Log = Callable[[str], None]

_FOLDER = Path("profiles")
_LOCAL = "local"
_LOG = logging.getLogger(__name__)


def profile(
    target: str | None = None,
    *,
    device: str | None = None,
    threads: int | None = None,
    formats: Sequence[str] = (),
    out: PathLike | None = None,
    log: Log | None = None,
) -> CostProfile:
    """Time a suite of small networks on a device, and write the cost of operations there.

    It takes minutes; nothing else should run on the device during this time.

    Args:
        target: Name of the device's target, whose candidates are timed; None for ``host``.
        device: Address of the device; None for the target's own.
        threads: Of one inference; None for the target's.
        formats: Time only these model formats; all of the target if there are none.
        out: The file to write; None for ``profiles/<target>.json``, where `estimate` finds it.
        log: Called with a line for each step; None to log it as INFO.

    Returns:
        What was written.

    Raises:
        UsageError: If an argument is of the wrong type, the device is emulated or has no target, or
            the target does not offer a format.
        ConfigError: If the target is wrong, or the device is another board.
        DeviceError: If the device cannot be reached.
        MissingPackageError: If a package that exports the networks is not installed.
    """
    name, address = as_optional_text("target", target), as_optional_text("device", device)
    num_threads, chosen = as_optional_count("threads", threads), as_texts("formats", formats)
    place = as_optional_path("out", out)
    if log is not None and not callable(log):
        raise UsageError(
            f"`log` is {type(log).__name__}", remedy="it must be a function of one text"
        )
    profiled, machine = _which(address, name, chosen, has_out=place is not None)
    pairs = [
        (each.format, each.precision)
        for each in profiled.variants()
        if each.provider == engines.CPU and (not chosen or each.format in chosen)
    ]
    costs = _profile(profiled, machine, pairs, num_threads or profiled.threads, log or _log)

    from edgetl.estimator.cost_profile import save_profile

    save_profile(costs, place or profile_path(profiled.name))
    return costs


def profile_path(target: str) -> Path:
    """Return the file in which the profile of a target is written and looked for."""
    return _FOLDER / f"{target}.json"


def _which(
    address: str | None, name: str | None, formats: Sequence[str], *, has_out: bool
) -> tuple[Target, Device]:
    """Return the target and the device."""
    named = open_device(address) if address else None
    if name is None and address not in {None, _LOCAL} and not has_out:
        raise UsageError(
            f"the target of device '{address}' is unknown, and profiles are named after targets",
            remedy=f"edgetl profile --device {address} --target NAME; 'edgetl targets' lists them",
        )
    target = load_target(name or DEFAULT_TARGET, check_address=check_address)
    offered = dict.fromkeys(
        each.format for each in target.variants() if each.provider == engines.CPU
    )
    for each in formats:
        if each not in offered:
            raise UsageError(
                f"target '{target.name}' does not offer '{each}'; it offers {', '.join(offered)}",
                remedy="use one of these formats, or add it to `candidates` in "
                f"targets/{target.name}.yaml",
            )
    device = named or (open_device(target.device) if target.device else None)
    if device is None:
        raise UsageError(
            f"targets/{target.name}.yaml names no device",
            remedy=f"edgetl profile --target {target.name} --device ssh://user@host",
        )
    return target, device


def _profile(
    target: Target,
    device: Device,
    pairs: Sequence[tuple[str, Precision]],
    threads: int,
    log: Log,
) -> CostProfile:
    from edgetl.boards import compare, probe, require
    from edgetl.estimator.profiling import PRECISIONS, profile_device
    from edgetl.estimator.timing import refuse_emulated

    refuse_emulated(device)
    if target.board is not None:
        facts = probe(device, target)
        require(target, device, facts, compare(target, facts))
    timed = [pair for pair in pairs if pair[1] in PRECISIONS]
    with tempfile.TemporaryDirectory(prefix="edgetl-profile-") as folder:
        return profile_device(device, timed, threads=threads, work=Path(folder), log=log)


def _log(line: str) -> None:
    _LOG.info("%s", line)
