from __future__ import annotations

import pytest

from edgetl.devices._process import failure, too_slow
from edgetl.errors import ExitCode

_PIP = "ssh pi@rpi4 python3 -m pip install"


@pytest.mark.parametrize(
    ("stderr", "package"),
    [
        ("ModuleNotFoundError: No module named 'numpy'", "numpy"),
        ("ModuleNotFoundError: No module named 'PIL'", "pillow"),
        ("ModuleNotFoundError: No module named 'ai_edge_litert.interpreter'", "ai-edge-litert"),
        ("the package 'pillow' is not installed\n  pip install pillow", "pillow"),
        ("a model of format 'onnx' needs ...\n  pip install onnxruntime", "onnxruntime"),
    ],
)
def test_remedy_installs_a_missing_package_on_the_device(stderr: str, package: str) -> None:
    error = failure("ssh://pi@rpi4", ["-m", "x"], code=4, stderr=stderr, pip=_PIP)
    assert error.remedy == f"{_PIP} {package}"


def test_other_missing_module_has_the_general_remedy() -> None:
    stderr = "ModuleNotFoundError: No module named 'edgetl.errors'"
    error = failure(
        "local", ["-c", "import edgetl.errors"], code=1, stderr=stderr, pip="pip install"
    )
    assert error.message == (
        f"'python -c import edgetl.errors' on device 'local' exited with 1: {stderr}"
    )
    assert error.remedy == "fix the reported problem and run again; finished work is kept"


def test_last_three_lines_are_quoted_on_one_line() -> None:
    error = failure("local", ["-V"], code=2, stderr="one\n\ntwo\n three\nfour\n", pip="pip install")
    assert error.message == "'python -V' on device 'local' exited with 2: two | three | four"


def test_missing_error_output_is_reported() -> None:
    error = failure("local", ["-V"], code=2, stderr="\n", pip="pip install")
    assert error.message.endswith("exited with 2: no error output")


def test_remedy_for_a_killed_process_mentions_memory() -> None:
    error = failure("local", ["-V"], code=-9, stderr="", pip="pip install")
    assert "was killed by SIGKILL" in error.message
    assert "memory" in error.remedy


def test_program_of_several_lines_is_quoted_on_one() -> None:
    error = too_slow("local", ["-c", "import time\n" * 50], 2.0)
    assert error.message == (
        "'python -c import time import time import time import time import ...' "
        "on device 'local' took longer than 2 s"
    )
    assert error.exit_code is ExitCode.DEVICE_UNREACHABLE
