"""Check that the views of a dataset fit into memory and onto the disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from edgetl.config.recipe import InputTable
from edgetl.errors import Problem, StoreError
from edgetl.stages import Job
from edgetl.stages._views import inputs_of

_CHANNELS = 3
_GIB = 1 << 30
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def view_bytes(image_input: InputTable, num_images: int) -> int:
    """Return the size of the images of a view."""
    return num_images * image_input.size**2 * _CHANNELS


def memory_problems(job: Job, num_images: int) -> Iterator[Problem]:
    """Yield the inputs at which `num_images` images are larger than this machine's memory."""
    memory = _memory_bytes()
    for image_input in inputs_of(job):
        size_bytes = view_bytes(image_input, num_images)
        if size_bytes > memory:
            yield Problem(
                "input.size",
                f"is {image_input.size}, at which the {num_images:,} images take "
                f"{size_bytes / _GIB:.1f} GiB; this machine has {memory / _GIB:.1f} GiB of memory, "
                "and training reads them in random order; lower it, or use fewer images",
            )


def check_disk(folder: Path, image_input: InputTable, num_images: int) -> None:
    """Refuse a view that does not fit onto the disk of `folder`.

    Raises:
        StoreError: If it is larger than the free space.
    """
    size_bytes, free = view_bytes(image_input, num_images), shutil.disk_usage(folder).free
    if size_bytes > free:
        raise StoreError(
            f"no space left on the disk of {folder}: at {image_input.size} px the {num_images:,} "
            f"images take {size_bytes / _GIB:.1f} GiB, and {free / _GIB:.1f} GiB are free; "
            "finished work is kept",
            remedy="lower `input.size`, or free some space ('edgetl prune' removes what no recipe "
            "uses), or choose another disk with --store",
        )


def _memory_bytes() -> int:
    """Return the memory that this process may use: the machine's, or that of its container."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = _CGROUP_LIMIT.read_text("ascii").strip()
    except OSError:
        return memory
    return min(memory, int(limit)) if limit.isdigit() else memory
