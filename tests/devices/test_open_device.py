from __future__ import annotations

import re
import subprocess
import sys

import pytest

from edgetl.devices import check_address, check_device, open_device
from edgetl.devices.local import LocalDevice
from edgetl.errors import MissingPackageError, UsageError


def test_local_is_this_machine() -> None:
    assert open_device("local") == LocalDevice()
    assert check_device("local") is None


def test_local_with_a_suffix_is_refused() -> None:
    with pytest.raises(UsageError, match="'local:2' is not a valid address"):
        open_device("local:2")


@pytest.mark.parametrize(
    ("address", "message", "remedy"),
    [
        ("shh://pi@rpi4", "unknown device 'shh://pi@rpi4'", "Did you mean 'ssh://pi@rpi4'? Known"),
        ("sssh://pi@rpi4", "unknown device 'sssh://pi@rpi4'", "Did you mean 'ssh://pi@rpi4'? "),
        ("pi@rpi4", "unknown device 'pi@rpi4'", "Did you mean 'ssh://pi@rpi4'? Known: emulated, "),
        ("pi@rpi4:2222", "unknown device 'pi@rpi4:2222'", "Did you mean 'ssh://pi@rpi4:2222'? "),
        ("SSH://pi@rpi4", "unknown device 'SSH://pi@rpi4'", "Did you mean 'ssh://pi@rpi4'? Known"),
        ("Ssh", "unknown device 'Ssh'", "Did you mean 'ssh://user@host'? Known: "),
        (
            "ssh:pi@rpi4",
            "'ssh:pi@rpi4' is not the address of an ssh device",
            "did you mean 'ssh://pi@rpi4'? write",
        ),
        (
            "ssh:/pi@rpi4",
            "'ssh:/pi@rpi4' is not the address of an ssh device",
            "did you mean 'ssh://pi@rpi4'? ",
        ),
        ("Local", "unknown device 'Local'", "Did you mean 'local'? Known: emulated, local, ssh."),
        ("Emulated:cortex-a72", "unknown device 'Emu", "Did you mean 'emulated:cortex-a72'? "),
        ("usb:1", "unknown device 'usb:1'", "Known: emulated, local, ssh."),
        ("rpi4:/dev/sda", "unknown device 'rpi4:/dev/sda'", "Known: emulated, local, ssh."),
    ],
)
def test_error_suggests_a_similar_address(address: str, message: str, remedy: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        open_device(address)
    assert caught.value.remedy.startswith(remedy)
    assert check_address(address) == f"{caught.value.message}; {caught.value.remedy}"


@pytest.mark.parametrize(
    "address", ["pi:raspberry@rpi4", "SSH://pi:raspberry@rpi4", "ssh:pi:raspberry@rpi4"]
)
def test_password_is_not_repeated(address: str) -> None:
    with pytest.raises(UsageError, match="rpi4") as caught:
        open_device(address)
    assert "raspberry" not in str(caught.value)


@pytest.mark.parametrize("address", ["emulated", "emulated:", "emulated:?system=trixie"])
def test_emulation_without_a_processor_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="names no processor") as caught:
        open_device(address)
    assert caught.value.remedy == (
        "name the processor: emulated:cortex-a72; known: cortex-a53, cortex-a72, cortex-a76"
    )


def test_check_reports_errors_without_connecting() -> None:
    assert check_device("ssh://pi@rpi4") is None
    assert check_device("ssh://pi@rpi4:0") == (
        "'ssh://pi@rpi4:0' has port 0; write a port from 1 to 65535"
    )


def test_missing_asyncssh_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgetl.devices.ssh.find_spec", lambda _: None)
    with pytest.raises(MissingPackageError, match="needs the package 'asyncssh'") as caught:
        open_device("ssh://pi@rpi4")
    assert caught.value.remedy == "pip install 'edgetl[ssh]'"
    assert check_address("ssh://pi@rpi4") is None  # well-formed, whatever is installed
    assert "asyncssh" in (check_device("ssh://pi@rpi4") or "")


def test_planning_imports_no_ssh_client() -> None:
    code = (
        "import sys; from edgetl.devices import check_device; "
        "assert check_device('ssh://pi@rpi4') is None; "
        "print({'asyncssh', 'cryptography', 'numpy', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
