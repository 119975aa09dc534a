"""The probe reports the facts in a system's files."""

from __future__ import annotations

import ast
import ctypes
import os
import platform
import sys
from importlib import metadata
from pathlib import Path

import edgetl.boards._probe as probed
from edgetl.boards._probe import probe
from edgetl.devices._cpu_files import CORES, write_cpu_files


def _pi(root: Path) -> Path:
    write_cpu_files(CORES["cortex-a76"], root)
    (root / "proc/device-tree/model").write_bytes(b"Raspberry Pi 5 Model B Rev 1.0\0")
    (root / "proc/meminfo").write_text("MemTotal:        8245616 kB\nMemFree: 12 kB\n")
    (root / "etc").mkdir()
    (root / "etc/os-release").write_text(
        'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n'
    )
    return root


def test_raspberry_pi_is_read_from_its_files(tmp_path: Path) -> None:
    facts = probe([], _pi(tmp_path))
    assert facts["device_tree_model"] == "Raspberry Pi 5 Model B Rev 1.0"
    assert facts["cpu_parts"] == ["0xd0b"]
    assert facts["cores"] == 4
    assert facts["memory_mib"] == 8052  # 8245616 / 1024, rounded down
    assert facts["os"] == "Debian GNU/Linux 12 (bookworm)"
    assert "asimddp" in str(facts["flags"])
    assert facts["tegra_release"] is None
    assert facts["model_name"] is None


def test_jetson_names_its_release_by_the_first_line(tmp_path: Path) -> None:
    release = _pi(tmp_path) / "etc/nv_tegra_release"
    release.write_text("# R36 (release), REVISION: 4.3, GCID: 1\nsecond line\n")
    assert probe([], tmp_path)["tegra_release"] == "# R36 (release), REVISION: 4.3, GCID: 1"


def test_pc_is_read_from_its_files(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    block = "processor\t: {}\nmodel name\t: Intel(R) N100\nflags\t\t: fpu avx2 avx_vnni\n\n"
    text = "".join(block.format(i) for i in range(4))
    (tmp_path / "proc/cpuinfo").write_text(text)
    facts = probe([], tmp_path)
    assert facts["model_name"] == "Intel(R) N100"
    assert facts["flags"] == ["avx2", "avx_vnni", "fpu"]
    assert facts["cores"] == 4
    assert facts["cpu_parts"] == []


def test_unknown_facts_are_null(tmp_path: Path) -> None:
    facts = probe(["no-such-distribution"], tmp_path)
    assert facts["os"] is None
    assert facts["device_tree_model"] is None
    assert facts["memory_mib"] is None
    assert facts["packages"] == {"no-such-distribution": None}
    assert facts["cores"] == os.cpu_count()


def test_python_and_its_packages_are_those_that_run_it(tmp_path: Path) -> None:
    facts = probe(["numpy"], tmp_path)
    assert facts["machine"] == platform.machine()
    assert facts["python"] == sys.version.split()[0]
    assert facts["executable"] == sys.executable
    assert facts["packages"] == {"numpy": metadata.version("numpy")}
    c_library = ctypes.CDLL(None)
    c_library.gnu_get_libc_version.restype = ctypes.c_char_p
    assert facts["glibc"] == c_library.gnu_get_libc_version().decode()


def test_probe_is_python_3_9_and_its_standard_library() -> None:
    text = Path(probed.__file__).read_text(encoding="utf-8")
    tree = ast.parse(text, feature_version=(3, 9))
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name)
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert {str(name).partition(".")[0] for name in imported} <= set(sys.stdlib_module_names)
