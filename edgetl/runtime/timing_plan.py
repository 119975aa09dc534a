"""How long a model is timed."""

from __future__ import annotations

from dataclasses import dataclass

from edgetl.runtime.quantiles import support

ATTEMPTS_PER_RUN = 2
"""A disturbed run is repeated, until there are so many times the runs that were asked for."""

_LEAST_RUNS = 3
"""The median of fewer is no median: one odd run would move it."""

_JUDGED_QUANTILE = 0.95
"""A limit is set on it, so the runs that count must have samples enough for it."""


@dataclass(frozen=True)
class TimingPlan:
    """How long is timed, for the model alone and again end to end."""

    seconds: float
    """Each run takes at least this long."""
    count: int
    """And at least this many inferences."""
    runs: int

    @property
    def most_runs(self) -> int:
        """How many runs there may be, the disturbed ones included."""
        return ATTEMPTS_PER_RUN * self.runs

    @property
    def least_runs(self) -> int:
        """How many runs must be undisturbed: three, or all if fewer are asked for; above half."""
        return max(min(_LEAST_RUNS, self.runs), self.runs // 2 + 1)

    def enough(self, num_runs: int, num_samples: int) -> bool:
        """Whether figures can be given from so many undisturbed runs alone, and their samples."""
        if num_runs < self.least_runs:
            return False
        return num_samples >= min(support(_JUDGED_QUANTILE), self.runs * self.count)
