from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgetl.devices.local import LocalDevice
from edgetl.errors import DeviceError
from edgetl.runtime.bundle import runtime_files
from edgetl.runtime.host import fingerprint

DEVICE = LocalDevice()


def test_description_is_the_fingerprint_of_this_machine() -> None:
    assert DEVICE.describe() == fingerprint()


def test_python_runs_in_a_separate_process() -> None:
    with DEVICE.connect() as connection:
        assert int(connection.run(["-c", "import os; print(os.getpid())"], timeout_s=60)) != (
            os.getpid()
        )


def test_sent_runtime_is_the_one_that_runs() -> None:
    with DEVICE.connect() as connection:
        connection.put(runtime_files())
        code = "import edgetl.runtime.host as h; print(h.__file__)"
        used = Path(connection.run(["-c", code], timeout_s=60).strip())
        assert used == connection.folder / "edgetl" / "runtime" / "host.py"


def test_rest_of_edgetl_is_not_importable() -> None:
    with DEVICE.connect() as connection:
        connection.put(runtime_files())
        with pytest.raises(DeviceError, match=r"No module named 'edgetl\.errors'"):
            connection.run(["-c", "import edgetl.errors"], timeout_s=60)


def test_folder_is_removed_with_the_connection() -> None:
    with DEVICE.connect() as connection:
        folder = connection.folder
        assert folder.is_dir()
    assert not folder.exists()


def test_error_of_a_killed_process_names_the_signal() -> None:
    with (
        DEVICE.connect() as connection,
        pytest.raises(DeviceError, match=r"'python -c .*' on device 'local' was killed by SIGKILL"),
    ):
        connection.run(["-c", "import os; os.kill(os.getpid(), 9)"], timeout_s=60)
