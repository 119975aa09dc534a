"""The result of a check, as lines for a terminal and as Markdown for the summary of a CI job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edgetl.types import Fact

_WIDTH = 27
_AGAINST = " against baseline"
_WORDS = {"passed": "ok", "failed": "FAILED", "unverified": "unverified", "skipped": "skipped"}


def check_lines(checked: Mapping[str, Fact]) -> Iterator[str]:
    """Yield one line per case, then the verdict.

    Args:
        checked: As `edgetl.gate.check.Checked.as_json` returns it.
    """
    for case in checked["cases"]:
        yield f"{case['name']:<{_WIDTH}} {_WORDS[case['status']]:<10} {case['reason']}"
        if case["warning"]:
            yield f"{'':<{_WIDTH}} {'warning':<10} {case['warning']}"
    yield _verdict(checked)


def check_markdown(checked: Mapping[str, Fact]) -> str:
    """Return a heading, a table with one row per case, and what the figures depend on."""
    name, target = _cell(checked["name"]), _cell(checked["target"])
    lines = [
        f"### edgetl check {name} on {target}: {checked['verdict']}",
        "",
        "| case | result | provenance | details |",
        "| --- | --- | --- | --- |",
    ]
    for case in checked["cases"]:
        details = case["reason"]
        if case["warning"]:
            details = f"{details}. Warning: {case['warning']}"
        result = f"**{case['status']}**" if case["status"] == "failed" else case["status"]
        row = (case["name"], result, case["provenance"], details)
        lines.append(f"| {' | '.join(map(_cell, row))} |")
    lines += ["", _cell(_verdict(checked))]
    if checked["baseline"] is not None:
        lines += ["", _cell(_rate(checked))]
    return "\n".join(lines) + "\n"


def error_markdown(where: Mapping[str, str], message: str) -> str:
    """Return a heading and the reason why a check could not be made.

    Args:
        where: ``bundle`` and ``target`` as they were given.
        message: Why, with the remedy.
    """
    heading = f"### edgetl check {_cell(where['bundle'])} on {_cell(where['target'])}: not made"
    return f"{heading}\n\n{_cell(message)}\n"


def _verdict(checked: Mapping[str, Fact]) -> str:
    statuses = [case["status"] for case in checked["cases"]]
    counts = ", ".join(
        f"{statuses.count(status)} {status}" for status in _WORDS if status in statuses
    )
    skipped = [
        case["name"].removesuffix(_AGAINST)
        for case in checked["cases"]
        if case["name"].endswith(_AGAINST) and case["status"] in {"skipped", "unverified"}
    ]
    omitted = f"; NOT compared with the baseline: {', '.join(skipped)}" if skipped else ""
    where = f"{checked['candidate']} on {checked['device']} ({checked['provenance']})"
    return f"{checked['verdict']}: {counts}{omitted}; {where}"


def _rate(checked: Mapping[str, Fact]) -> str:
    return (
        f"Against {checked['baseline']}: a loss is red if it is shown to exceed "
        f"{checked['allowed_drop_pp']:g} pp of accuracy or {checked['allowed_ratio']:g} times the "
        f"median latency; a build within these bounds is red in at most "
        f"{100 * checked['false_alarm_rate']:g} % of checks."
    )


def _cell(text: str) -> str:
    """Return `text` on one line, with characters escaped that would end the cell or begin HTML."""
    one_line = " ".join(str(text).split())
    return one_line.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
