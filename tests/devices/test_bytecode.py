from __future__ import annotations

import sys
from pathlib import Path

from edgetl.devices._bytecode import compile_modules

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"


def test_modules_are_compiled_without_later_checks_of_their_source(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "good.py").write_text("VALUE = 1\n")
    (tmp_path / "inner" / "template.py").write_text("def {{ name }}\n")

    compile_modules(tmp_path, HERE)

    (compiled,) = tmp_path.rglob("*.pyc")
    assert compiled.name == f"good.cpython-{HERE.replace('.', '')}.pyc"
    # PEP 552: bytes 4..7 are flags; 1 says validated by hash, not by time, and unchecked.
    assert compiled.read_bytes()[4:8] == b"\1\0\0\0"


def test_nothing_is_compiled_for_another_version(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text("VALUE = 1\n")

    compile_modules(tmp_path, "2.7")

    assert [path.name for path in tmp_path.rglob("*")] == ["good.py"]
