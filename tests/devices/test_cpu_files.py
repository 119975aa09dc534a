"""Expected lines are those that Raspberry Pi OS (64-bit) prints on the boards."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgetl.devices._cpu_files import CORES, cpuinfo, write_cpu_files

_PI_4 = """\
processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3
"""

# Main identification registers as the boards' kernels log them at boot, "CPU0: ... [0x410fd083]".
_MIDR = {
    "cortex-a53": "0x00000000410fd034",
    "cortex-a72": "0x00000000410fd083",
    "cortex-a76": "0x00000000414fd0b1",
}


def test_cpuinfo_of_a_pi_4_repeats_the_boards_block_four_times() -> None:
    blocks = cpuinfo(CORES["cortex-a72"]).split("\n\n")

    assert blocks[0] + "\n" == _PI_4
    assert [block.splitlines()[0] for block in blocks[:-1]] == [
        f"processor\t: {i}" for i in range(4)
    ]
    assert blocks[-1] == ""


def test_only_the_pi_5_has_dot_products() -> None:
    able = {name for name, core in CORES.items() if "asimddp" in core.features}

    assert able == {"cortex-a76"}


@pytest.mark.parametrize("name", sorted(CORES))
def test_identification_register_matches_the_board(name: str, tmp_path: Path) -> None:
    write_cpu_files(CORES[name], tmp_path)

    register = tmp_path / "sys/devices/system/cpu/cpu3/regs/identification/midr_el1"
    assert register.read_text().strip() == _MIDR[name]


@pytest.mark.parametrize("name", sorted(CORES))
def test_all_four_cores_are_described(name: str, tmp_path: Path) -> None:
    write_cpu_files(CORES[name], tmp_path)

    folder = tmp_path / "sys/devices/system/cpu"
    assert sorted(path.name for path in folder.glob("cpu[0-9]")) == ["cpu0", "cpu1", "cpu2", "cpu3"]
    assert (folder / "possible").read_text() == (folder / "present").read_text() == "0-3\n"
    assert (folder / "cpu2/topology/core_id").read_text() == "2\n"
    assert (folder / "cpu2/topology/thread_siblings").read_text() == "4\n"
    assert (folder / "cpu2/topology/core_siblings").read_text() == "f\n"


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("cortex-a53", ["32K", "32K", "512K"]),
        ("cortex-a72", ["32K", "48K", "1024K"]),
        ("cortex-a76", ["64K", "64K", "512K", "2048K"]),
    ],
)
def test_caches_have_the_sizes_of_the_chip(name: str, sizes: list[str], tmp_path: Path) -> None:
    write_cpu_files(CORES[name], tmp_path)

    caches = sorted((tmp_path / "sys/devices/system/cpu/cpu0/cache").iterdir())
    assert [(cache / "size").read_text().strip() for cache in caches] == sizes
    for cache in caches:
        lines, ways, sets = (
            int((cache / key).read_text())
            for key in ("coherency_line_size", "ways_of_associativity", "number_of_sets")
        )
        assert f"{lines * ways * sets // 1024}K" == (cache / "size").read_text().strip()


@pytest.mark.parametrize("name", sorted(CORES))
def test_nothing_names_the_board_so_that_it_cannot_be_taken_for_it(
    name: str, tmp_path: Path
) -> None:
    write_cpu_files(CORES[name], tmp_path)

    assert (tmp_path / "proc/device-tree/model").read_text() == f"emulated {name}\0"
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or "Raspberry" not in path.read_text()
