"""An ssh server of the tests, reached over loopback."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_SSHD = Path(__file__).parents[2] / "devices" / "ssh" / "sshd.py"


@contextmanager
def running(folder: Path) -> Iterator[Callable[[Path], str]]:
    # By path: installed packages bring one that is called `tests`.
    spec = importlib.util.spec_from_file_location("edgetl_tests_sshd", _SSHD)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.running_sshd(folder) as server:
        yield lambda home: server.address(cache=home / "cache")
