"""How many cores this process may use: its affinity, and the limits of its control groups."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def usable_threads(threads: int) -> int:
    """Return `threads`, or the number of usable cores if that is smaller, with a warning.

    Engines let waiting threads spin. With more threads than cores they take the time of those that
    compute: tflite-runtime 2.14 with two threads on one core is 2,000 times slower.
    """
    if threads == 1:
        return threads
    cores = usable_cores()
    if threads <= cores:
        return threads
    # Here, because it takes a while to import on a slow board.
    import logging

    logging.getLogger(__name__).warning(
        "%d threads were requested, but this process may use %s only: running with %d",
        threads,
        "1 core" if cores == 1 else f"{cores} cores",
        cores,
    )
    return cores


def usable_cores(root: Path = Path("/")) -> int:
    """Return the number of cores that this process may keep busy, at least 1.

    A quota of 1.5 cores counts as one: two busy threads would be stopped for a quarter of the time.

    Args:
        root: Root of the file system; another folder only in tests.
    """
    quotas = [int(quota) for group in control_groups("cpu", root) for quota in _quota(group)]
    return max(1, min([len(os.sched_getaffinity(0)), *quotas]))


def control_groups(controller: str, root: Path = Path("/")) -> Iterator[Path]:
    """Yield the folders of the control groups of this process, and of all above them.

    Args:
        controller: What they limit in version 1 of the interface: ``cpu`` or ``memory``.
        root: As for `usable_cores`.
    """
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        mounts: tuple[Path, ...] = ()
        if not controllers:
            mounts = (root / "sys/fs/cgroup",)
        elif controller in controllers.split(","):
            mounts = tuple(root / "sys/fs/cgroup" / name for name in (controllers, controller))
        # In a container, the path may be that on the host, where only the mount itself is there.
        group = PurePosixPath(path)
        for mount in mounts:
            for each in (group, *group.parents):
                yield mount / each.relative_to("/")


def _quota(folder: Path) -> Iterator[float]:
    """Yield the limit of a control group, in version 2 or 1 of the interface, if it has one."""
    quota, _, period = _read(folder / "cpu.max").partition(" ")
    if not quota:
        quota = _read(folder / "cpu.cfs_quota_us")
        period = _read(folder / "cpu.cfs_period_us")
    # Without a limit, the quota is `max` or -1.
    if quota.isdecimal() and period.isdecimal() and int(period):
        yield int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
