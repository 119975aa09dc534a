"""Every candidate has a line with its reason, every target a line with its bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgetl.facts.package import CandidateRow, PackageFacts
from edgetl.report.console_tables import candidate_table, verdict_lines, worst_error_lines
from edgetl.store.store import Artifact

Row = Callable[..., CandidateRow]
Package = Callable[..., PackageFacts]


@pytest.fixture
def package(examples: Any) -> Package:
    """Return what makes the facts of a target from its verdict and its rows."""

    def make(
        verdict: str, *rows: CandidateRow, target: str = "host", **changes: object
    ) -> PackageFacts:
        made: PackageFacts = examples.package(target, *rows, verdict=verdict, **changes)
        return made

    return make


@pytest.fixture
def row(examples: Any) -> Callable[..., CandidateRow]:
    """Return what makes the line of a candidate that was chosen."""
    figures = {
        "value": 0.981,
        "low": 0.97,
        "high": 0.99,
        "drop_pp": 0.25,
        "p50_ms": 0.583,
        "p95_ms": 0.614,
        "p95_low_ms": 0.6,
        "p95_high_ms": 0.63,
        "size_bytes": 1153434,
    }

    def make(name: str = "onnx int8", **changes: object) -> CandidateRow:
        made: CandidateRow = examples.row(name, **(figures | changes))
        return made

    return make


def test_table_has_a_line_per_candidate_with_figures_and_reason(row: Row, package: Package) -> None:
    held = package(
        "held",
        row(),
        row("onnx fp32", verdict="holds", reason="", interfered=True),
        row(
            "tflite int8",
            verdict="rejected",
            reason="drop 14.2 > 1 pp",
            breaks_at="float file -> int8 file",
        ),
    )
    lines = candidate_table([held]).splitlines()
    assert lines[0].split() == [
        "target", "candidate", "top-1", "drop", "pp", "p50", "ms", "p95", "ms", "MiB", "verdict",
    ]  # fmt: skip
    assert lines[1].split(maxsplit=11) == [
        "host", "onnx", "int8", "0.981", "[0.970", "0.990]", "0.2", "0.58", "0.61", "[0.60",
        "0.63]",
        "1.10  chosen: fastest within limits",
    ]  # fmt: skip
    assert lines[2].endswith("holds: timing disturbed")
    assert lines[3].endswith("rejected: drop 14.2 > 1 pp; parity breaks at float file -> int8 file")


def test_drop_of_next_to_nothing_has_no_sign(row: Row, package: Package) -> None:
    assert " 0.0 " in candidate_table([package("held", row(drop_pp=-0.01))])


def test_candidate_without_device_is_not_measured(row: Row, package: Package) -> None:
    line = row(
        p50_ms=None,
        p95_ms=None,
        p95_low_ms=None,
        p95_high_ms=None,
        verdict="unverified",
        reason="x",
    )
    assert "not measured" in candidate_table([package("unverified", line)])


def test_every_target_says_where_its_bundle_is_or_why_it_has_none(
    row: Row, package: Package
) -> None:
    lines = list(
        verdict_lines(
            [
                package("held", row()),
                package("unverified", row(), why="no device", target="rpi4"),
                package(
                    "missed", row(), why="no candidate meets p95_ms", target="slow", chosen=None
                ),
            ],
            Path("dist"),
        )
    )
    assert lines == [
        "dist/host/  onnx int8",
        "  try it: python -m edgetl.runtime predict dist/host IMAGE",
        "dist/rpi4/  onnx int8 (unverified: no device)",
        "slow: no bundle; no candidate meets p95_ms",
    ]


def test_table_of_detectors_has_their_figures(row: Row, package: Package) -> None:
    line = row(title="mAP", value=0.612, low=0.58, high=0.64, others={"mAP50": 0.871})
    head, text = candidate_table([package("held", line)]).splitlines()
    assert head.split()[:4] == ["target", "candidate", "mAP", "mAP50"]
    assert text.split()[:7] == ["host", "onnx", "int8", "0.612", "[0.580", "0.640]", "0.871"]


def test_picture_of_the_worst_errors_is_named_once_per_chosen_candidate(
    tmp_path: Path, shelve: Callable[..., Artifact], examples: Any, row: Row, package: Package
) -> None:
    (tmp_path / "worst-errors.png").touch()
    facts = examples.verification("onnx int8", worst_errors="worst-errors.png")
    wrong = shelve(tmp_path, "verify onnx int8", "verification", facts.model_dump(mode="json"))
    facts = examples.verification("onnx fp32")
    perfect = shelve(tmp_path, "verify onnx fp32", "verification", facts.model_dump(mode="json"))
    lines = worst_error_lines(
        [
            package("held", row()),
            package("unverified", row(), target="rpi4"),
            package("held", row("onnx fp32"), target="perfect"),
            package("held", row("onnx int8 cuda"), target="gpu"),
            package("missed", row(), target="slow", chosen=None),
        ],
        [wrong, perfect],
    )
    assert list(lines) == [
        f"worst errors of {name}: {tmp_path / 'worst-errors.png'}"
        for name in ("onnx int8", "onnx int8 cuda")
    ]
