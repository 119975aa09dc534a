"""Facts of the benchmark stage, and of every other timing by the runtime."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from edgetl.config.candidate import Candidate
from edgetl.facts import FactsModel
from edgetl.runtime.paired import Rounds
from edgetl.types import Provenance

Host = dict[str, str | int | float | None]
"""Fingerprint of a machine; see `edgetl.runtime.host.fingerprint`."""


class Quantile(FactsModel):
    """A quantile of times with its 95 % interval, milliseconds."""

    value: float = Field(gt=0.0)
    low: float = Field(gt=0.0)
    high: float = Field(gt=0.0)

    @model_validator(mode="after")
    def _inside(self) -> Self:
        if not self.low <= self.value <= self.high:
            raise ValueError(
                f"value {self.value:g} is not between low {self.low:g} and high {self.high:g}"
            )
        return self


Quantiles = dict[str, Quantile | None]
"""By name, ``p50``; None if there were too few times."""


class RunsFacts(FactsModel):
    """The runs of a timing."""

    asked: int
    taken: int
    undisturbed: int
    p50_ms: tuple[float, ...]
    """Median of each run, the disturbed ones included."""
    disturbances: tuple[tuple[str, ...], ...]
    """What disturbed each run, in words."""


class SustainedFacts(FactsModel):
    """Change of the times while the model ran for minutes without a pause."""

    p50_ms_by_minute: tuple[float, ...]
    p95_ms_by_minute: tuple[float, ...]
    slowdown: float
    """The last minute's median divided by the first's."""
    hottest_c: float | None
    median_frequency_mhz: float | None
    slowest_frequency_mhz: float | None
    throttled_from_s: float | None
    throttled_by: tuple[str, ...]


class TimingFacts(FactsModel):
    """The figures of `edgetl.runtime.latency.Latency.summary`."""

    engine: str
    """Package and version."""
    provider: str
    threads: int
    load_ms: float
    first_ms: float
    """The first inference."""
    count: int
    """Inferences that the figures are computed from."""
    model_ms: Quantiles
    end_to_end_ms: Quantiles
    """From image to prediction."""
    pre_ms: Quantiles
    post_ms: Quantiles
    peak_memory_bytes: int | None
    energy_j: float | None
    """Of one inference."""
    hottest_c: float | None
    warm_up_count: int
    stable: bool
    """Whether the warm-up settled."""
    interfered: bool
    """Whether too few runs were undisturbed, so the times can only be too long."""
    runs: RunsFacts
    sustained: SustainedFacts | None

    @property
    def p50(self) -> Quantile | None:
        """The median of the model alone."""
        return self.model_ms.get("p50")

    @property
    def p95(self) -> Quantile | None:
        """The 95th percentile of the model alone."""
        return self.model_ms.get("p95")

    @property
    def end_to_end_p95(self) -> Quantile | None:
        """The 95th percentile from the image to the prediction."""
        return self.end_to_end_ms.get("p95")


class LatencyFacts(TimingFacts):
    """The times of one candidate on one device."""

    device: str
    """Address."""
    provenance: Provenance
    host: Host
    broken: tuple[str, ...] | None
    """Golden samples that differ on the device, in words; None if the CPU runs them."""

    @property
    def measured(self) -> bool:
        """Whether the times count as speed."""
        return self.provenance is Provenance.MEASURED


class CandidateLatency(FactsModel):
    """One of several candidates that were timed in turns."""

    candidate: Candidate
    latency: LatencyFacts


class BenchmarkFacts(FactsModel):
    """Facts of the benchmark stage: the candidates that were timed on one device."""

    candidates: tuple[CandidateLatency, ...]
    """At least one."""

    def of(self, candidate: Candidate) -> LatencyFacts:
        """Return the times of `candidate`; raises KeyError if it was not timed."""
        for each in self.candidates:
            if each.candidate == candidate:
                return each.latency
        raise KeyError(candidate.name)


def latency_file(candidate: Candidate) -> str:
    """Return the name of the artifact's file with the single times of `candidate`."""
    key = (candidate.model, candidate.format, candidate.precision.value, candidate.provider)
    return f"{'-'.join(key)}.json"


def rounds_of(latency: LatencyFacts) -> Rounds:
    """Return the turns of a candidate that was timed in turns, milliseconds."""
    return Rounds(latency.runs.p50_ms, [bool(each) for each in latency.runs.disturbances])
