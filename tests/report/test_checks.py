"""A check as lines for people and as Markdown for the summary of a job."""

from __future__ import annotations

from typing import Any

from edgetl.report.checks import check_lines, check_markdown, error_markdown

_CHECKED: dict[str, Any] = {
    "verdict": "failed",
    "name": "parts",
    "target": "rpi4",
    "candidate": "onnx int8",
    "device": "ssh://pi@rpi4",
    "provenance": "measured",
    "baseline": "baseline.json",
    "allowed_drop_pp": 0.5,
    "allowed_ratio": 1.1,
    "false_alarm_rate": 0.01,
    "cases": [
        {
            "name": "files",
            "status": "passed",
            "reason": "27 files as listed in the manifest",
            "provenance": "",
            "warning": "",
        },
        {
            "name": "latency",
            "status": "failed",
            "reason": "61 > 50 ms | <b>\nslow",
            "provenance": "measured",
            "warning": "look",
        },
    ],
}
_RATE = (
    "Against baseline.json: a loss is red if it is shown to exceed 0.5 pp of accuracy or "
    "1.1 times the median latency; a build within these bounds is red in at most 1 % of checks."
)


def test_every_case_has_a_line_and_the_verdict_counts_them() -> None:
    lines = list(check_lines(_CHECKED))
    assert lines[0].split(maxsplit=2) == ["files", "ok", "27 files as listed in the manifest"]
    assert lines[1].split(maxsplit=2)[:2] == ["latency", "FAILED"]
    assert lines[2].split() == ["warning", "look"]
    assert lines[3] == "failed: 1 passed, 1 failed; onnx int8 on ssh://pi@rpi4 (measured)"


def test_markdown_is_one_table_that_no_text_breaks() -> None:
    text = check_markdown(_CHECKED)
    assert text.splitlines() == [
        "### edgetl check parts on rpi4: failed",
        "",
        "| case | result | provenance | details |",
        "| --- | --- | --- | --- |",
        "| files | passed |  | 27 files as listed in the manifest |",
        "| latency | **failed** | measured | 61 > 50 ms \\| &lt;b> slow. Warning: look |",
        "",
        "failed: 1 passed, 1 failed; onnx int8 on ssh://pi@rpi4 (measured)",
        "",
        _RATE,
    ]


def test_without_baseline_nothing_is_said_of_alarms() -> None:
    assert "Against" not in check_markdown(_CHECKED | {"baseline": None})


def test_what_was_not_compared_is_named_with_the_verdict() -> None:
    def case(name: str, status: str) -> dict[str, str]:
        return {"name": name, "status": status, "reason": "", "provenance": "", "warning": ""}

    cases = [
        case("accuracy against baseline", "unverified"),
        case("latency against baseline", "skipped"),
        case("size against baseline", "passed"),
        case("memory", "skipped"),
    ]
    checked = _CHECKED | {"verdict": "unverified", "cases": cases}
    verdict = (
        "unverified: 1 passed, 1 unverified, 2 skipped; NOT compared with the baseline: accuracy, "
        "latency; onnx int8 on ssh://pi@rpi4 (measured)"
    )
    assert list(check_lines(checked))[-1] == verdict
    text = check_markdown(checked)
    assert text.startswith("### edgetl check parts on rpi4: unverified\n")
    assert verdict in text.splitlines()


def test_check_that_could_not_be_made_says_why_on_one_line() -> None:
    where = {"bundle": "dist/<rpi4>", "target": "rpi4"}
    assert error_markdown(where, "device 'b' is gone | away\n  turn it on") == (
        "### edgetl check dist/&lt;rpi4> on rpi4: not made\n\n"
        "device 'b' is gone \\| away turn it on\n"
    )
