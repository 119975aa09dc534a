"""A finished run as a Markdown summary, for the page of a CI job."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from edgetl.config.limits import Judge
from edgetl.facts.package import CandidateRow, PackageFacts
from edgetl.facts.training import ChainFacts, ChainStep
from edgetl.report.formatting import (
    judged_by,
    mib,
    milliseconds,
    percentage_points,
    reasons,
    share,
    sign,
)
from edgetl.report.operating_point import operating_point_lines
from edgetl.report.record import Run, reason_of

_SPECIAL = re.compile(r"([\\`*_{}\[\]<#|~])")


def summary(run: Run) -> str:
    """Return the verdict and the candidates of every target; ends in a line break."""
    return "\n".join(_lines(run)) + "\n"


def _lines(run: Run) -> Iterator[str]:
    yield f"## {_plain(run.name)}"
    if run.notice:
        yield ""
        yield f"> {_plain(run.notice)}"
    for package in run.packages:
        yield ""
        yield from _target(package.read(PackageFacts))
    lines = operating_point_lines(
        [package.read(PackageFacts) for package in run.packages], run.artifacts.values()
    )
    yield from _operating_points(lines)
    comparison = run.comparison
    if comparison is not None and comparison.gain is not None and comparison.student is not None:
        gain = comparison.gain
        low, high = percentage_points(gain.low_pp), percentage_points(gain.high_pp)
        yield ""
        yield (
            f"Distillation gains {percentage_points(gain.pp)} pp [{low}, {high}] "
            f"of {comparison.student.title} over the same student without a teacher."
        )
    if run.chains:
        yield ""
        yield from _chains(run.chains)


def _target(facts: PackageFacts) -> Iterator[str]:
    chosen = f"**{_plain(facts.chosen.name)}**, " if facts.chosen is not None else ""
    verdict = facts.verdict
    yield (
        f"{sign(verdict)} **{_plain(facts.target)}: {verdict}**, {chosen}{_plain(reason_of(facts))}"
    )
    limits = facts.limits.in_words()
    if limits:
        yield ""
        how = f" ({judged_by(facts.judge)})" if facts.judge is Judge.SHOWN else ""
        yield f"Limits: {'; '.join(limits.values())}{how}"
    rows = facts.rows
    titles = [rows[0].title, *rows[0].others]
    yield ""
    yield _row(["candidate", *titles, "drop pp", "p95 ms", "MiB", "memory MiB", "verdict", "why"])
    yield _row(["---", *["--:"] * (len(titles) + 4), "---", "---"])
    for row in rows:
        yield _row(_cells(row))


def _operating_points(lines: Iterator[str]) -> Iterator[str]:
    """Yield a list of the classes of each operating point."""
    for line in lines:
        if line.startswith(" "):
            yield f"- {_plain(line)}"
        else:
            yield from ("", f"{_plain(line)}", "")


def _chains(chains: Sequence[ChainFacts]) -> Iterator[str]:
    """Yield a table of every step of every model chain."""
    yield _row(["model", "step", "score", "gain pp", "dataset", "images"])
    yield _row(["---", "---", "--:", "--:", "---", "--:"])
    for chain in chains:
        for step in chain.steps:
            yield _row(
                [chain.model, _plain(step.stage), *_figures(step), chain.role, str(chain.images)]
            )


def _figures(step: ChainStep) -> tuple[str, str]:
    """Return score and gain, each with its interval and marked if the step is transductive."""
    mark = " transductive" if step.transductive else ""
    score, gain = step.score, step.gain
    text = f"{score.title} {share(score.value)} [{share(score.low)}, {share(score.high)}]{mark}"
    if gain is None:
        return text, percentage_points(None)
    low, high = percentage_points(gain.low_pp), percentage_points(gain.high_pp)
    return text, f"{percentage_points(gain.pp)} [{low}, {high}]{mark}"


def _cells(row: CandidateRow) -> list[str]:
    p95 = milliseconds(row.p95_ms)
    if row.p95_ms is not None:
        p95 += f" [{milliseconds(row.p95_low_ms)}, {milliseconds(row.p95_high_ms)}]"
    drop = percentage_points(row.drop_pp)
    drop += f" [{percentage_points(row.drop_low_pp)}, {percentage_points(row.drop_high_pp)}]"
    return [
        _plain(row.candidate.name),
        f"{share(row.value)} [{share(row.low)}, {share(row.high)}]",
        *(share(value) for value in row.others.values()),
        drop,
        p95,
        mib(row.size_bytes),
        mib(row.memory_bytes),
        f"{sign(row.verdict)} {row.verdict}",
        _plain(reasons(row)),
    ]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
