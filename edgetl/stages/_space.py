"""Check that the views of a dataset fit into memory and onto the disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from edgetl.config.recipe import InputTable
from edgetl.errors import Problem, StoreError
from edgetl.runtime.cores import control_groups
from edgetl.stages import Job
from edgetl.stages._student import num_stored_views
from edgetl.stages._views import inputs_of
from edgetl.types import Role

_CHANNELS = 3
_GIB = 1 << 30
_MEMORY_LIMITS = ("memory.max", "memory.limit_in_bytes")
"""Files of a control group, in versions 2 and 1 of the interface."""


def view_bytes(image_input: InputTable, num_images: int) -> int:
    """Return the size of the images of a view."""
    return num_images * image_input.size**2 * _CHANNELS


def memory_problems(job: Job, num_images: Mapping[Role, int]) -> Iterator[Problem]:
    """Yield what is larger than this machine's memory: a view, or two that are read at once.

    Args:
        job: Its models determine which views are made of each dataset.
        num_images: Of each dataset that the recipe has.
    """
    memory = _memory_bytes()
    too_large = [
        f"{count:,} images of `{role}` take {_gib(size_bytes)} {where}"
        for role, count in num_images.items()
        for where, size_bytes in _too_large(job, role, count, memory)
    ]
    if too_large:
        yield Problem(
            "input.size",
            f"is too large for the {_gib(memory)} of memory of this machine: "
            f"{', '.join(too_large)}; lower it, or use fewer images",
        )


def _too_large(job: Job, role: Role, num_images: int, memory: int) -> Iterator[tuple[str, int]]:
    """Yield the views of a dataset that are larger than `memory`, in words, and their bytes."""
    sizes = [(each.size, view_bytes(each, num_images)) for each in inputs_of(job)]
    single = {size: size_bytes for size, size_bytes in sizes if size_bytes > memory}
    for size, size_bytes in single.items():
        yield f"at {size} px", size_bytes
    total = sum(size_bytes for _, size_bytes in sizes)
    # In random order, so the pages of both views are in use all the time.
    together = role is Role.DATA and job.recipe.student and num_stored_views(job) is None
    if together and not single and total > memory:
        listed = " and ".join(str(size) for size, _ in sizes)
        yield f"at {listed} px, which training the student reads together", total


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / _GIB:.1f} GiB"


def check_disk(folder: Path, image_input: InputTable, num_images: int) -> None:
    """Refuse a view that does not fit onto the disk of `folder`.

    Raises:
        StoreError: If it is larger than the free space.
    """
    size_bytes, free = view_bytes(image_input, num_images), shutil.disk_usage(folder).free
    if size_bytes > free:
        raise StoreError(
            f"no space left on the disk of {folder}: at {image_input.size} px the {num_images:,} "
            f"images take {_gib(size_bytes)}, and {_gib(free)} are free; "
            "finished work is kept",
            remedy="lower `input.size`, or free some space ('edgetl prune' removes what no recipe "
            "uses), or choose another disk with --store",
        )


def _memory_bytes(root: Path = Path("/")) -> int:
    """Return the memory that this process may use: the machine's, or what control groups leave.

    Args:
        root: Root of the file system; another folder only in tests.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [
        int(text)
        for group in control_groups("memory", root)
        for name in _MEMORY_LIMITS
        if (text := _limit(group / name)).isdigit()
    ]
    return min([memory, *limits])


def _limit(file: Path) -> str:
    try:
        return file.read_text("ascii").strip()
    except OSError:
        return ""
