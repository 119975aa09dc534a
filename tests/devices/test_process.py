from __future__ import annotations

import pytest

from edgetl.devices._process import failure, too_slow
from edgetl.errors import ExitCode

_PIP = "ssh pi@rpi4 python3 -m pip install"


@pytest.mark.parametrize(
    ("said", "package"),
    [
        ("ModuleNotFoundError: No module named 'numpy'", "numpy"),
        ("ModuleNotFoundError: No module named 'PIL'", "pillow"),
        ("ModuleNotFoundError: No module named 'ai_edge_litert.interpreter'", "ai-edge-litert"),
        ("the package 'pillow' is not installed\n  pip install pillow", "pillow"),
        ("a model of format 'onnx' needs ...\n  pip install onnxruntime", "onnxruntime"),
    ],
)
def test_missing_package_is_installed_where_it_is_missing(said: str, package: str) -> None:
    error = failure("ssh://pi@rpi4", ["-m", "x"], code=4, said=said, pip=_PIP)
    assert error.remedy == f"{_PIP} {package}"


def test_missing_module_that_is_no_package_of_the_runtime_is_left_to_the_reader() -> None:
    said = "ModuleNotFoundError: No module named 'edgetl.errors'"
    error = failure("local", ["-c", "import edgetl.errors"], code=1, said=said, pip="pip install")
    assert error.message == (
        f"'python -c import edgetl.errors' on device 'local' ended with 1: {said}"
    )
    assert error.remedy == "mend what it names and run again; what was finished is kept"


def test_last_three_lines_are_quoted_in_one() -> None:
    error = failure("local", ["-V"], code=2, said="one\n\ntwo\n three\nfour\n", pip="pip install")
    assert error.message == "'python -V' on device 'local' ended with 2: two | three | four"


def test_silence_is_told_as_such() -> None:
    error = failure("local", ["-V"], code=2, said="\n", pip="pip install")
    assert error.message.endswith("ended with 2: it said nothing")


def test_process_killed_by_the_system_points_at_the_memory() -> None:
    error = failure("local", ["-V"], code=-9, said="", pip="pip install")
    assert "was killed by SIGKILL" in error.message
    assert "memory" in error.remedy


def test_program_on_several_lines_is_told_on_one() -> None:
    error = too_slow("local", ["-c", "import time\n" * 50], 2.0)
    assert error.message == (
        "'python -c import time import time import time import time import ...' "
        "on device 'local' took longer than 2 s"
    )
    assert error.exit_code is ExitCode.DEVICE_UNREACHABLE
