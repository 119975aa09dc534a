"""How long and how often a model is timed."""

from __future__ import annotations

from dataclasses import dataclass

from edgetl.runtime.quantiles import support

ATTEMPTS_PER_RUN = 2
"""Disturbed runs are repeated, up to this multiple of the requested runs."""

_LEAST_RUNS = 3
"""With fewer runs, a single outlying run would move the median."""

_JUDGED_QUANTILE = 0.95
"""Limits apply to this quantile, so the counted runs must have enough samples for it."""


@dataclass(frozen=True)
class TimingPlan:
    """Duration and repetition of a timing, for the model alone and again end to end."""

    seconds: float
    """Minimum duration of each run."""
    count: int
    """Minimum number of inferences in each run."""
    runs: int

    @property
    def max_runs(self) -> int:
        """Maximum number of runs, including disturbed ones."""
        return ATTEMPTS_PER_RUN * self.runs

    @property
    def min_undisturbed(self) -> int:
        """Number of runs that must be undisturbed: three (or all of fewer), and more than half."""
        return max(min(_LEAST_RUNS, self.runs), self.runs // 2 + 1)

    def enough(self, num_runs: int, num_samples: int) -> bool:
        """Whether `num_runs` undisturbed runs with `num_samples` samples suffice for figures."""
        if num_runs < self.min_undisturbed:
            return False
        return num_samples >= min(support(_JUDGED_QUANTILE), self.runs * self.count)


@dataclass(frozen=True)
class TurnsPlan:
    """How models are timed in turns; see `edgetl.runtime.turns`."""

    turn: TimingPlan
    """Its runs are the least number of rounds, in each of which every model has one turn."""
    most_rounds: int
    """Number of rounds after which the timing ends, even if the order is not clear."""
