"""Every candidate has a line with its reason, every target a line with its bundle."""

from __future__ import annotations

from pathlib import Path

from edgetl.report.choice import candidate_table, verdict_lines
from edgetl.types import Facts


def _row(**changes: object) -> Facts:
    row: Facts = {
        "candidate": "onnx int8",
        "top1": 0.981,
        "top1_low": 0.97,
        "top1_high": 0.99,
        "drop_pp": 0.25,
        "p95_ms": 0.614,
        "p95_low_ms": 0.6,
        "p95_high_ms": 0.63,
        "size_bytes": 1153434,
        "interfered": False,
        "breaks_at": None,
        "verdict": "chosen",
        "reason": "fastest within limits",
    }
    return row | changes


def _package(verdict: str, *rows: Facts, why: str = "", target: str = "host") -> Facts:
    return {
        "target": target,
        "verdict": verdict,
        "chosen": rows[0]["candidate"],
        "why": why,
        "rows": list(rows),
    }


def test_table_has_a_line_per_candidate_with_figures_and_reason() -> None:
    package = _package(
        "held",
        _row(),
        _row(candidate="onnx fp32", verdict="holds", reason="", interfered=True),
        _row(
            candidate="tflite int8",
            verdict="rejected",
            reason="drop 14.2 > 1 pp",
            breaks_at="float file -> int8 file",
        ),
    )
    lines = candidate_table([package]).splitlines()
    assert lines[0].split() == [
        "target", "candidate", "top-1", "drop", "pp", "p95", "ms", "MiB", "verdict",
    ]  # fmt: skip
    assert lines[1].split(maxsplit=10) == [
        "host", "onnx", "int8", "0.981", "[0.970", "0.990]", "0.2", "0.61", "[0.60", "0.63]",
        "1.10  chosen: fastest within limits",
    ]  # fmt: skip
    assert lines[2].endswith("holds; timing disturbed")
    assert lines[3].endswith("rejected: drop 14.2 > 1 pp; parity breaks at float file -> int8 file")


def test_candidate_without_device_is_not_measured() -> None:
    row = _row(p95_ms=None, p95_low_ms=None, p95_high_ms=None, verdict="unverified", reason="x")
    assert "not measured" in candidate_table([_package("unverified", row)])


def test_every_target_says_where_its_bundle_is_or_why_it_has_none() -> None:
    lines = list(
        verdict_lines(
            [
                _package("held", _row()),
                _package("unverified", _row(), why="no device", target="rpi4"),
                _package("missed", _row(), why="no candidate holds p95_ms", target="slow"),
            ],
            Path("dist"),
        )
    )
    assert lines == [
        "dist/host/  onnx int8",
        "  try it: python -m edgetl.runtime predict dist/host PHOTO",
        "dist/rpi4/  onnx int8 (unverified: no device)",
        "slow: no bundle; no candidate holds p95_ms",
    ]
