"""Files in ``/proc`` and ``/sys`` that describe a Raspberry Pi's processor to programs.

Inference engines choose their kernels by ``/proc/cpuinfo`` and ``/sys/devices/system/cpu``. In an
emulation these paths would describe the host, and an engine built for ARM crashes if it reads of an
x86 processor there. Therefore each emulated core has its own files. The figures are those of
Raspberry Pi OS on the board; features and cache sizes agree with Arm's technical reference manuals.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CORES_PER_BOARD = 4
"""Every 64-bit Raspberry Pi has four cores of one kind."""

_IMPLEMENTER_ARM = 0x41
_LINE_BYTES = 64
_MIN_KHZ = 600_000
_CPU_FOLDER = "sys/devices/system/cpu"


@dataclass(frozen=True, slots=True)
class CpuCache:
    """One cache of a core."""

    level: int
    kind: str
    """``Data``, ``Instruction`` or ``Unified``, as Linux calls it."""
    size_kib: int
    ways: int
    shared: bool
    """Whether all cores of the board share it."""

    @property
    def num_sets(self) -> int:
        """Number of sets of `ways` lines each."""
        return self.size_kib * 1024 // (self.ways * _LINE_BYTES)


@dataclass(frozen=True, slots=True)
class Core:
    """A processor core and a board that has it."""

    name: str
    """Name in qemu."""
    board: str
    part: int
    """Arm's part number in the main identification register."""
    variant: int
    revision: int
    """The board's chip has revision ``r<variant>p<revision>``."""
    features: tuple[str, ...]
    """In the order of ``/proc/cpuinfo``."""
    bogomips: str
    max_khz: int
    caches: tuple[CpuCache, ...]

    @property
    def midr(self) -> int:
        """The main identification register: implementer, variant, 0xf, part, revision."""
        fields = (_IMPLEMENTER_ARM << 24) | (self.variant << 20) | (0xF << 16)
        return fields | (self.part << 4) | self.revision


_FIRST_64_BIT = ("fp", "asimd", "evtstrm", "crc32", "cpuid")
_WITH_DOT_PRODUCTS = (
    "fp", "asimd", "evtstrm", "aes", "pmull", "sha1", "sha2", "crc32", "atomics", "fphp",
    "asimdhp", "cpuid", "asimdrdm", "lrcpc", "dcpop", "asimddp",
)  # fmt: skip

CORES = {
    core.name: core
    for core in (
        Core(
            name="cortex-a53",
            board="Raspberry Pi 3 Model B+",
            part=0xD03,
            variant=0,
            revision=4,
            features=_FIRST_64_BIT,
            bogomips="38.40",
            max_khz=1_400_000,
            caches=(
                CpuCache(1, "Data", 32, ways=4, shared=False),
                CpuCache(1, "Instruction", 32, ways=2, shared=False),
                CpuCache(2, "Unified", 512, ways=16, shared=True),
            ),
        ),
        Core(
            name="cortex-a72",
            board="Raspberry Pi 4 Model B",
            part=0xD08,
            variant=0,
            revision=3,
            features=_FIRST_64_BIT,
            bogomips="108.00",
            max_khz=1_800_000,
            caches=(
                CpuCache(1, "Data", 32, ways=2, shared=False),
                CpuCache(1, "Instruction", 48, ways=3, shared=False),
                CpuCache(2, "Unified", 1024, ways=16, shared=True),
            ),
        ),
        Core(
            name="cortex-a76",
            board="Raspberry Pi 5",
            part=0xD0B,
            variant=4,
            revision=1,
            features=_WITH_DOT_PRODUCTS,
            bogomips="108.00",
            max_khz=2_400_000,
            caches=(
                CpuCache(1, "Data", 64, ways=4, shared=False),
                CpuCache(1, "Instruction", 64, ways=4, shared=False),
                CpuCache(2, "Unified", 512, ways=8, shared=False),
                CpuCache(3, "Unified", 2048, ways=16, shared=True),
            ),
        ),
    )
}
"""Cores by name."""


def write_cpu_files(core: Core, root: Path) -> None:
    """Write ``proc`` and ``sys`` below `root` for a board with `core`.

    ``/proc/device-tree/model`` names the emulation instead of the board, so that it cannot be
    mistaken for the board.
    """
    for name, text in _files(core):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")


def cpuinfo(core: Core) -> str:
    """Return the text of ``/proc/cpuinfo``."""
    block = (
        f"BogoMIPS\t: {core.bogomips}\n"
        f"Features\t: {' '.join(core.features)}\n"
        f"CPU implementer\t: {_IMPLEMENTER_ARM:#04x}\n"
        "CPU architecture: 8\n"
        f"CPU variant\t: {core.variant:#x}\n"
        f"CPU part\t: {core.part:#05x}\n"
        f"CPU revision\t: {core.revision}\n"
    )
    return "".join(f"processor\t: {i}\n{block}\n" for i in range(CORES_PER_BOARD))


def _files(core: Core) -> Iterator[tuple[str, str]]:
    """Yield path below the root and content."""
    everyone = f"0-{CORES_PER_BOARD - 1}"
    yield "proc/cpuinfo", cpuinfo(core)
    yield "proc/device-tree/model", f"emulated {core.name}\0"
    for name in ("possible", "present", "online"):
        yield f"{_CPU_FOLDER}/{name}", f"{everyone}\n"
    yield f"{_CPU_FOLDER}/kernel_max", f"{CORES_PER_BOARD - 1}\n"
    for i in range(CORES_PER_BOARD):
        folder = f"{_CPU_FOLDER}/cpu{i}"
        yield f"{folder}/regs/identification/midr_el1", f"{core.midr:#018x}\n"
        yield f"{folder}/cpufreq/cpuinfo_max_freq", f"{core.max_khz}\n"
        yield f"{folder}/cpufreq/cpuinfo_min_freq", f"{_MIN_KHZ}\n"
        yield f"{folder}/topology/physical_package_id", "0\n"
        yield f"{folder}/topology/core_id", f"{i}\n"
        yield f"{folder}/topology/core_siblings_list", f"{everyone}\n"
        yield f"{folder}/topology/core_siblings", f"{(1 << CORES_PER_BOARD) - 1:x}\n"
        yield f"{folder}/topology/thread_siblings_list", f"{i}\n"
        yield f"{folder}/topology/thread_siblings", f"{1 << i:x}\n"
        for index, cache in enumerate(core.caches):
            for key, value in _cache_files(cache, everyone if cache.shared else str(i)):
                yield f"{folder}/cache/index{index}/{key}", f"{value}\n"


def _cache_files(cache: CpuCache, sharers: str) -> Iterator[tuple[str, str]]:
    yield "level", str(cache.level)
    yield "type", cache.kind
    yield "size", f"{cache.size_kib}K"
    yield "shared_cpu_list", sharers
    yield "coherency_line_size", str(_LINE_BYTES)
    yield "ways_of_associativity", str(cache.ways)
    yield "number_of_sets", str(cache.num_sets)
