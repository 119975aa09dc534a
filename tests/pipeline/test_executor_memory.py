"""The memory that a run may use is what the system and every control group leave."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from edgetl.pipeline.executors._memory import available_bytes

_MEMINFO = "MemTotal:       8000 kB\nMemFree:        1000 kB\nMemAvailable:   5000 kB\n"
_V2 = "sys/fs/cgroup/run"
_V1 = "sys/fs/cgroup/memory/run"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({}, None, id="unknown"),
        pytest.param({"proc/meminfo": _MEMINFO}, 5000 * 1024, id="no control group"),
        pytest.param(
            {
                "proc/meminfo": _MEMINFO,
                "proc/self/cgroup": "0::/run/deep",
                f"{_V2}/memory.max": "3000000",
                f"{_V2}/memory.current": "2500000",
                f"{_V2}/memory.stat": "anon 5\ninactive_file 400000\n",
                f"{_V2}/deep/memory.max": "max",
                f"{_V2}/deep/memory.current": "2500000",
            },
            900_000,  # 3000000 - 2500000 + 400000
            id="limit of a group above, version 2",
        ),
        pytest.param(
            {
                "proc/meminfo": _MEMINFO,
                "proc/self/cgroup": "4:memory:/run",
                f"{_V1}/memory.limit_in_bytes": "3000000",
                f"{_V1}/memory.usage_in_bytes": "3100000",
                f"{_V1}/memory.stat": "total_inactive_file 0\n",
            },
            0,
            id="limit exceeded, version 1",
        ),
        pytest.param(
            {
                "proc/meminfo": _MEMINFO,
                "proc/self/cgroup": "0::/run",
                f"{_V2}/memory.max": "9000000000",
                f"{_V2}/memory.current": "1",
            },
            5000 * 1024,
            id="limit above what is there",
        ),
    ],
)
def test_least_of_system_and_control_groups_counts(
    files: Mapping[str, str], expected: int | None, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert available_bytes(tmp_path) == expected
