"""A bundle is checked on a board over ssh: an OpenSSH server on loopback plays it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from defusedxml.ElementTree import parse

Check = Callable[..., Any]


@pytest.fixture
def check(
    finished: Path,
    server: Any,
    edgetl: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Check:
    """Return what checks on the server, from a home without keys or settings of its own."""
    cache, home = tmp_path_factory.mktemp("cache"), tmp_path_factory.mktemp("home")

    def run(what: str) -> Any:
        done = edgetl(
            finished, "check", what, "--target", "host", "--device", server.address(cache=cache),
            "--seconds", "0.05", "--json", "--junit", "check.xml",
            HOME=str(home), SSH_AUTH_SOCK="",
        )  # fmt: skip
        assert [path.name for path in cache.iterdir()] == ["files"]
        assert list((server.folder / "tmp").iterdir()) == []
        return done

    return run


def _cases(done: Any) -> dict[str, Any]:
    facts = json.loads(done.stdout)
    assert facts["device"].startswith("ssh://127.0.0.1:")
    assert facts["provenance"] == "measured"
    return {case["name"]: case for case in facts["cases"]}


def _limit(finished: Path, p95_ms: float) -> None:
    target = finished / "targets" / "host.yaml"
    text = target.read_text()
    target.write_text(text.replace("drop_pp: 100", f"drop_pp: 100, p95_ms: {p95_ms}"))


def test_recipe_is_green_and_the_board_answers_its_test_images(
    finished: Path, check: Check
) -> None:
    _limit(finished, 10_000.0)
    done = check("recipe.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    cases = _cases(done)
    assert {name for name, case in cases.items() if case["status"] == "failed"} == set()
    for name in ("golden samples", "accuracy", "latency"):
        assert (cases[name]["status"], cases[name]["provenance"]) == ("passed", "measured")
    assert cases["accuracy"]["figures"]["images"] == 18


def test_missed_limit_is_red_there_too(
    finished: Path, check: Check, quieten: Callable[[Path], None]
) -> None:
    _limit(finished, 0.0001)
    quieten(finished / "dist" / "host")
    done = check("dist/host")
    assert done.returncode == 5, done.stdout + done.stderr
    cases = _cases(done)
    assert [name for name, case in cases.items() if case["status"] == "failed"] == ["latency"]
    suite = parse(finished / "check.xml").getroot()[0]
    assert (suite.attrib["failures"], suite.attrib["errors"]) == ("1", "0")
