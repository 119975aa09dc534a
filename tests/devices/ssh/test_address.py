from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgetl.devices._address import Settings, SshAddress, parse_address
from edgetl.errors import ExitCode, UsageError


@pytest.mark.parametrize(
    ("text", "host", "user", "port"),
    [
        ("ssh://rpi4", "rpi4", None, None),
        ("ssh://rpi4/", "rpi4", None, None),
        ("ssh://Pi.Lab", "Pi.Lab", None, None),
        ("ssh://pi@192.168.1.20:2222", "192.168.1.20", "pi", 2222),
        ("ssh://pi@[fe80::1%eth0]:22", "fe80::1%eth0", "pi", 22),
        ("ssh://[::1]", "::1", None, None),
    ],
)
def test_host_user_and_port_are_parsed(
    text: str, host: str, user: str | None, port: int | None
) -> None:
    address = parse_address(text)
    assert address == SshAddress(host, user, port, Settings())
    assert str(address) == text.rstrip("/")


def test_settings_are_parsed_and_omitted_from_messages(tmp_path: Path) -> None:
    identity = tmp_path / "key"
    identity.touch()
    address = parse_address(
        f"ssh://pi@rpi4?python=/opt/venv/bin/python&identity={identity}&known_hosts={identity}"
        "&cache=/media/disk/edgetl&wait=2.5"
    )
    assert address.settings == Settings(
        python="/opt/venv/bin/python",
        identity=identity,
        known_hosts=identity,
        cache="/media/disk/edgetl",
        wait=2.5,
    )
    assert str(address) == "ssh://pi@rpi4"


def test_tilde_is_the_home_of_the_current_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "key").touch()
    assert parse_address("ssh://rpi4?identity=~/key").settings.identity == tmp_path / "key"


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        ("ssh", "'ssh' is not the address of an ssh device", "write ssh://user@host"),
        ("ssh:rpi4", "'ssh:rpi4' is not the address of an ssh device", "write ssh://user@host"),
        ("ssh://", "'ssh://' is not the address of an ssh device", "write ssh://user@host"),
        (
            "ssh://rpi4/home",
            "'ssh://rpi4/home' is not the address of an ssh device",
            "write ssh://user@host",
        ),
        (
            "ssh://rpi4:ssh",
            "'ssh://rpi4:ssh' is not the address of an ssh device",
            "write ssh://user@host",
        ),
        (
            "ssh://pi@:22",
            "'ssh://pi@:22' is not the address of an ssh device",
            "write ssh://user@host",
        ),
        ("ssh://-oProxyCommand=x", "a name in '.*' begins with '-'", "write ssh://user@host"),
        ("ssh://-l@rpi4", "a name in '.*' begins with '-'", "write ssh://user@host"),
        ("ssh://rpi4:65536", "has port 65536", "write a port from 1 to 65535"),
        ("ssh://rpi4?pyhton=x", "unknown setting 'pyhton'", r"Did you mean 'python'\? Known: "),
        ("ssh://rpi4?x=y", "unknown setting 'x'", "^Known: python, identity, known_hosts, cache"),
        ("ssh://rpi4?python=", "'python' in '.*' needs exactly one value", "write python=VALUE"),
        ("ssh://rpi4?wait=1&wait=2", "'wait' in '.*' needs exactly one value", "write wait=VALUE"),
        (
            "ssh://rpi4?wait=soon",
            "'wait' in '.*' is not a number of seconds: 'soon'",
            "write seconds, such as wait=600",
        ),
        ("ssh://rpi4?wait=-1", "'wait' in '.*' is not a number of seconds: '-1'", "write seconds"),
        ("ssh://rpi4?identity=/no/key", "'identity' in '.*' names /no/key", "omit the setting"),
        ("ssh://rpi4?known_hosts=/no", "'known_hosts' in '.*' names /no", "omit the setting"),
    ],
)
def test_error_has_a_remedy_with_valid_values(text: str, message: str, remedy: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse_address(text)
    assert re.search(remedy, caught.value.remedy)
    assert caught.value.exit_code is ExitCode.USAGE


def test_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError, match="contains a password; passwords are never used") as caught:
        parse_address("ssh://pi:raspberry@rpi4")
    assert "raspberry" not in str(caught.value)
    assert "ssh-copy-id" in caught.value.remedy


def test_commands_to_paste_are_quoted() -> None:
    address = parse_address("ssh://pi@rpi4:2222")
    assert address.command("rm", "a b") == "ssh -p 2222 pi@rpi4 rm 'a b'"
    assert address.command(program="ssh-copy-id") == "ssh-copy-id -p 2222 pi@rpi4"
