"""Count the instructions of one inference on an emulated core, by class.

A plug-in of qemu counts the instructions that the emulated processor executes. Inference with the
same file takes the same number each time, within 0.1 %, as Python's own work varies a little. The
program runs the model in an engine under qemu and marks the moments between inferences with a
system call that has no effect; see ``_count.c``. Counts do not reflect caches, memory or the number
of instructions that a core issues at once.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from edgetl.devices._apt import find_archive
from edgetl.devices._cache import Cache, Kept
from edgetl.devices._rootfs import (
    EMULATOR_SUITE,
    host_architecture,
    make_plugin_emulator,
    plugin_emulator,
)
from edgetl.errors import DeviceError, MissingPackageError
from edgetl.hashing import digest_file, digest_value
from edgetl.runtime.bundle import runtime_files
from edgetl.types import Facts

if TYPE_CHECKING:  # the device imports this module when it counts
    from edgetl.devices.emulated import EmulatedDevice

SOURCE = Path(__file__).with_name("_count.c")

_COMPILERS = ("cc", "gcc", "clang")
_FLAGS = ("-O2", "-ffreestanding", "-nostdlib", "-shared", "-fPIC")
"""Without the C library's headers and without linking it: qemu includes its own C library."""
_PLUGIN = "count.so"
_COUNTS = "counts"
_COMPILE_TIMEOUT_S = 120.0
_TIMEOUT_S = 1800.0
"""A detector of 5 billion instructions takes minutes."""
_RECIPE = 1
"""Raise it when the way of counting changes; cached counts are then no longer used."""

# The first inference also allocates memory that later ones reuse.
_PROGRAM = """\
import os, sys
from pathlib import Path
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
import numpy as np
from edgetl.runtime.engines import open_session
session = open_session(sys.argv[1], Path(sys.argv[2]), 1)
(image,) = session.inputs
pixels = (np.arange(np.prod(image.shape)) % 251).astype(np.uint8).reshape(image.shape)
inputs = {image.name: pixels}
session.run(inputs)
for _ in range(2):
    os.getpriority(os.PRIO_PROCESS, 0)
    session.run(inputs)
os.getpriority(os.PRIO_PROCESS, 0)
"""


@dataclass(frozen=True, slots=True)
class Instructions:
    """Instructions of one inference by class, in the order of the plug-in's lines."""

    integer: int
    """Integer arithmetic, and instructions of no other class."""
    vector: int
    """Floating point and NEON, except dot products."""
    dot: int
    """Dot products of 8-bit integers, each of which replaces several other instructions."""
    load: int
    store: int
    branch: int

    @property
    def total(self) -> int:
        """The sum of all classes."""
        return sum(getattr(self, field.name) for field in fields(self))


def count_instructions(
    device: EmulatedDevice, engine_format: str, files: Mapping[str, Path]
) -> Instructions:
    """Count the instructions of one inference, single thread, model only; counts are cached.

    Args:
        device: Device with the core, and with the engine of `engine_format` among its engines.
        engine_format: Format of the model: ``onnx``, ``openvino`` or ``tflite``.
        files: The model's files by name, the one to open first.

    Raises:
        DeviceError: If the device cannot be set up, or the model does not run there.
        MissingPackageError: If there is no C compiler for the plug-in.
    """
    cache = device.kept()
    qemu, plugin = _tools(device, cache)
    request: Facts = {
        "recipe": _RECIPE,
        "format": engine_format,
        "files": {name: digest_file(path) for name, path in files.items()},
        "cpu": device.cpu,
        "system": device.system,
        "runtime": digest_value(
            {name: digest_file(path) for name, path in runtime_files().items()}
        ),
        "parts": {name: kept.digest for name, kept in device.parts().items()},
        "plugin": plugin.digest,
    }
    first = next(iter(files))

    def make(_: Path) -> Facts:
        counts = _count(device, command(qemu, plugin), engine_format, files)
        return {field.name: getattr(counts, field.name) for field in fields(counts)}

    kept = cache.keep(
        "instructions",
        request,
        what=f"the instructions of {first} on {device.cpu}; may take minutes",
        make=make,
        doing="counting",
    )
    return Instructions(**kept.facts)


def command(qemu: Kept, plugin: Kept) -> tuple[str, ...]:
    """Return the emulator and its first arguments; counts are written to its working folder."""
    start = plugin_emulator(host_architecture(), qemu.tree)
    return (*start, "-plugin", f"{plugin.tree / _PLUGIN},out={_COUNTS}")


def parse_counts(text: str) -> Instructions:
    """Return the counts between two marks from the plug-in's lines.

    Of several intervals, the one with the fewest instructions is the least disturbed.

    Raises:
        ValueError: If there are fewer than two lines, or not one count per class in each.
    """
    rows = [[int(word) for word in line.split()] for line in text.splitlines()]
    if len(rows) <= 1 or {len(row) for row in rows} != {len(fields(Instructions))}:
        raise ValueError(f"not a list of marks: {text[:80]!r}")
    intervals = [
        [after - before for before, after in zip(*pair, strict=True)] for pair in pairwise(rows)
    ]
    return Instructions(*min(intervals, key=sum))


def compile_plugin(tree: Path) -> Facts:
    """Compile the plug-in for this machine into the empty folder `tree`.

    Returns:
        The digest of the plug-in.

    Raises:
        MissingPackageError: If there is no C compiler.
        DeviceError: If the compiler fails.
    """
    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if compiler is None:
        raise MissingPackageError(
            f"no C compiler ({', '.join(_COMPILERS)}) is installed to build the plug-in that "
            "counts instructions",
            remedy="apt-get install gcc",
        )
    place = tree / _PLUGIN
    done = subprocess.run(  # noqa: S603 - a compiler and our own source
        [compiler, *_FLAGS, "-o", str(place), str(SOURCE)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_COMPILE_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        lines: Sequence[str] = done.stderr.strip().splitlines() or ["no error output"]
        raise DeviceError(
            f"{compiler} cannot compile the plug-in that counts instructions: {lines[-1]}",
            remedy="apt-get install gcc, and put it before other compilers on the path",
        )
    return {"plugin": digest_file(place)}


def _tools(device: EmulatedDevice, cache: Cache) -> tuple[Kept, Kept]:
    """Return the qemu that supports plug-ins, and the plug-in."""
    host = host_architecture()
    # The plug-in first, so that a missing compiler is reported before anything is downloaded.
    plugin = cache.keep(
        "counter",
        {"recipe": _RECIPE, "source": digest_file(SOURCE), "flags": list(_FLAGS), "host": host},
        what="the plug-in that counts instructions",
        make=compile_plugin,
        doing="compiling",
    )
    qemu = cache.keep(
        "qemu-plugins",
        {"recipe": _RECIPE, "suite": EMULATOR_SUITE, "host": host},
        what="an emulator that supports plug-ins, Debian packages of 20 MB",
        make=lambda tree: make_plugin_emulator(host, find_archive(device.mirror), tree),
    )
    return qemu, plugin


def _count(
    device: EmulatedDevice,
    emulator: Sequence[str],
    engine_format: str,
    files: Mapping[str, Path],
) -> Instructions:
    with (
        tempfile.TemporaryDirectory(prefix="edgetl-count-") as name,
        device.connect_through(emulator) as connection,
    ):
        connection.put({**runtime_files(), **files})
        connection.run(["-c", _PROGRAM, engine_format, next(iter(files))], timeout_s=_TIMEOUT_S)
        connection.get([_COUNTS], Path(name))
        text = (Path(name) / _COUNTS).read_text(encoding="ascii")
    try:
        return parse_counts(text)
    except ValueError as error:
        raise DeviceError(
            f"counting on device '{device.address}' failed: {error}",
            remedy="remove the folders qemu-plugins-* and counter-* from "
            f"{device.kept().root} and run again",
        ) from error
