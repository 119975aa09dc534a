"""Time model folders on a device, with only the runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgetl.boards.remote_runtime import run_json
from edgetl.devices import Device
from edgetl.errors import DeviceError, UsageError
from edgetl.types import Facts, Provenance

_SCRIPT = Path(__file__).with_name("_rounds.py")
_START_S = 120.0
_SLOWEST_S = 60.0
"""Time limit of all rounds of one model folder."""
_NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True)
class Timed:
    """Time of one model folder."""

    ms: float
    """Median of single inferences, model only, milliseconds: that of the fastest round, since other
    load only lengthens times; only undisturbed rounds count, if there are any."""
    disturbed: bool
    """Whether other programs disturbed every round."""
    engine: str
    """Package and version."""


def time_folders(
    device: Device, folders: Mapping[str, Path], *, threads: int, host: Facts
) -> dict[str, Timed]:
    """Return the time of each model folder.

    Args:
        device: A device that is not emulated.
        folders: Model folders by name; they are timed in turns.
        threads: Number of threads of one inference.
        host: Fingerprint that the device must have.

    Raises:
        UsageError: If the device is emulated.
        DeviceError: If the device cannot be reached, its fingerprint is not `host`, or a folder
            cannot be timed there.
    """
    refuse_emulated(device)
    from edgetl.runtime.bundle import runtime_files

    files = {
        f"{name}/{path.name}": path
        for name, folder in folders.items()
        for path in sorted(folder.iterdir())
        if path.is_file()
    }
    command = ["rounds.py", str(threads), *folders]
    with device.connect() as connection:
        connection.put({**runtime_files(), "rounds.py": _SCRIPT, **files})
        result = run_json(
            connection,
            device.address,
            command,
            what="times",
            timeout_s=_START_S + _SLOWEST_S * len(folders),
        )
    if result["host"] != host:
        raise DeviceError(
            f"device '{device.address}' changed while it was timed: {result['host']} instead of "
            f"{host}",
            remedy="do not change its governor and cores during the run, and run again",
        )
    return {
        name: _timed(result["medians_ns"][name], result["disturbed"][name], result["engine"][name])
        for name in folders
    }


def refuse_emulated(device: Device) -> None:
    """Raise UsageError if times on `device` mean nothing."""
    if device.provenance != Provenance.MEASURED:
        raise UsageError(
            f"device '{device.address}' is emulated, and its times mean nothing",
            remedy="name the board itself: --device ssh://user@host",
        )


def _timed(medians_ns: list[float], disturbed: list[bool], engine: str) -> Timed:
    undisturbed = [ns for ns, was in zip(medians_ns, disturbed, strict=True) if not was]
    return Timed(min(undisturbed or medians_ns) / _NS_PER_MS, not undisturbed, engine)
