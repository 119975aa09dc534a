from __future__ import annotations

import subprocess
import sys

import pytest

from edgetl.devices import check_device, open_device
from edgetl.devices.local import LocalDevice
from edgetl.errors import MissingPackageError, UsageError


def test_local_is_this_machine() -> None:
    assert open_device("local") == LocalDevice()
    assert check_device("local") is None


def test_anything_behind_local_is_refused() -> None:
    with pytest.raises(UsageError, match="'local:2' says more than which machine"):
        open_device("local:2")


def test_unknown_way_names_the_closest_one() -> None:
    with pytest.raises(UsageError, match="unknown device 'shh'") as caught:
        open_device("shh://pi@rpi4")
    assert caught.value.remedy.startswith("Did you mean 'ssh'? Known: ")


def test_check_says_what_is_wrong_without_connecting() -> None:
    assert check_device("ssh://pi@rpi4") is None
    assert check_device("ssh://pi@rpi4:0") == (
        "'ssh://pi@rpi4:0' names port 0; name one from 1 to 65535"
    )


def test_missing_asyncssh_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgetl.devices.ssh.find_spec", lambda _: None)
    with pytest.raises(MissingPackageError, match="needs the package 'asyncssh'") as caught:
        open_device("ssh://pi@rpi4")
    assert caught.value.remedy == "pip install 'edgetl[ssh]'"


def test_planning_imports_no_ssh_client() -> None:
    code = (
        "import sys; from edgetl.devices import check_device; "
        "assert check_device('ssh://pi@rpi4') is None; "
        "print({'asyncssh', 'cryptography', 'numpy', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
