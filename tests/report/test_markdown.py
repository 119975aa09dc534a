"""The summary has a verdict per target and a line per candidate."""

from __future__ import annotations

import dataclasses

from edgetl.report.markdown import summary
from edgetl.report.record import Run

_HEAD = """
| candidate | top-1 | drop pp | p95 ms | MiB | memory MiB | verdict | why |
| --- | --: | --: | --: | --: | --: | --- | --- |
"""


def test_summary_has_verdict_limits_and_candidates(classifier: Run) -> None:
    figures = "0.5 [-0.2, 1.0] | 2.00 [1.90, 2.10] | 1.00 | 50.0"
    breaks = "parity breaks at tflite fp32 to tflite int8"
    assert summary(classifier) == (
        "## bits\n"
        "\n✓ **host: held**, **onnx int8**, fastest within limits\n"
        "\nLimits: better than guessing; drop at most 1 pp; p95 at most 3 ms\n"
        f"{_HEAD}"
        f"| onnx int8 | 0.875 [0.700, 0.950] | {figures} | ✓ chosen | fastest within limits |\n"
        f"| tflite int8 | 0.600 [0.550, 0.650] | {figures} "
        f"| ✗ rejected | drop 14.2 > 1 pp; {breaks} |\n"
        "\n? **rpi4: unverified**, **tflite int8**, no device; smallest of them\n"
        "\nLimits: better than guessing\n"
        f"{_HEAD}"
        "| tflite int8 | 0.875 [0.700, 0.950] | 0.5 [-0.2, 1.0] | not measured | 1.00 "
        "| not measured | ? unverified | no device; smallest of them |\n"
        "\nDistillation gains 8.0 pp [1.5, 14.0] of top-1 "
        "over the same student without a teacher.\n"
    )


def test_chain_marks_the_figures_that_are_transductive(classifier: Run, chain: Run) -> None:
    assert "transductive" not in summary(classifier)
    assert summary(chain).endswith(
        "\n| model | step | score | gain pp | dataset | images |\n"
        "| --- | --- | --: | --: | --- | --: |\n"
        "| teacher | finetune | top-1 0.500 [0.400, 0.600] | \N{EN DASH} | evaluation | 479 |\n"
        "| teacher | adapt | top-1 0.542 [0.442, 0.642] transductive "
        "| 4.2 [1.0, 7.5] transductive | evaluation | 479 |\n"
    )


def test_missed_target_says_why(detector: Run) -> None:
    assert (
        "✗ **host: missed**, no candidate meets map; nearest is onnx fp32: mAP 0.5 \\< 0.9"
        in summary(detector)
    )


def test_text_cannot_leave_its_cell(classifier: Run) -> None:
    text = summary(dataclasses.replace(classifier, notice="a | b\n<img> `c`"))
    assert "> a \\| b \\<img> \\`c\\`" in text.splitlines()
