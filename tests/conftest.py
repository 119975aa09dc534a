"""Settings for all tests: few threads, so that parallel workers do not fight over the cores.

Also environments that hold some of the installed distributions and no others, a way to install a
package that adds plug-ins, and example facts.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from edgetl.config.candidate import Candidate
from edgetl.config.limits import Limits
from edgetl.facts.bundle import BundleManifest, BundleTarget
from edgetl.facts.latency import (
    BenchmarkFacts,
    CandidateLatency,
    LatencyFacts,
    Quantile,
    Quantiles,
    RunsFacts,
    TimingFacts,
)
from edgetl.facts.package import CandidateRow, PackageFacts
from edgetl.facts.scores import Score
from edgetl.facts.training import TrainingFacts, WeightsFacts
from edgetl.facts.verification import Drop, LadderStep, VerificationFacts
from edgetl.hashing import digest_folder
from edgetl.runtime import installed
from edgetl.runtime.engines import CPU
from edgetl.store.manifest import Manifest
from edgetl.store.store import Artifact
from edgetl.types import Facts, Precision, Provenance

# Read by OpenMP and by edgetl's child processes; must be set before a framework is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# While mutmut records which tests call a function, it needs its settings, which programs that tests
# start in other folders do not find. In this process it goes on without the variable.
if os.environ.get("MUTANT_UNDER_TEST") == "stats":
    del os.environ["MUTANT_UNDER_TEST"]

# A shell starts background jobs with Ctrl-C ignored, and children inherit that: the programs that
# tests stop by it would not hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Examples:
    """Facts of stages for tests that only need some; arguments replace fields."""

    def candidate(self, name: str) -> Candidate:
        """Return the student's candidate of a name: ``onnx int8``, ``onnx fp32 cuda``."""
        format_name, precision, *provider = name.split()
        return Candidate(
            "student", format_name, Precision(precision), provider[0] if provider else CPU
        )

    def score(self, value: float, **changes: Any) -> Score:
        fields: Facts = {
            "metric": "top1",
            "title": "top-1",
            "value": value,
            "low": value - 0.1,
            "high": value + 0.1,
            "images": 8,
        }
        return Score.model_validate(fields | changes)

    def training(self, model: str, value: float, **changes: Any) -> TrainingFacts:
        fields: Facts = {
            "model": model,
            "family": "mobilenet_v3_small",
            "width": 0.5,
            "parameters": 12345,
            "weights": WeightsFacts(source="imagenet", loaded=3),
            "phases": {},
            "val": None,
            "test": self.score(value),
        }
        return TrainingFacts.model_validate(fields | changes)

    def step(self, name: str, snr_db: float, *, holds: bool) -> LadderStep:
        return LadderStep(
            step=name,
            images=8,
            max_error=0.012,
            snr_db=snr_db,
            agreement=0.75,
            lowest_snr_db=5.0,
            holds=holds,
        )

    def drop(self, pp: float, **changes: Any) -> Drop:
        fields: Facts = {
            "against": "student",
            "value": 0.88,
            "pp": pp,
            "low_pp": pp - 1,
            "high_pp": pp + 1,
        }
        return Drop.model_validate(fields | changes)

    def verification(self, name: str, **changes: Any) -> VerificationFacts:
        """Return the facts of a model file that loses half a point and breaks nowhere."""
        candidate = self.candidate(name)
        fields: Facts = {
            **dict(self.score(0.9)),
            "model": candidate.model,
            "format": candidate.format,
            "precision": candidate.precision,
            "engine": "onnxruntime 1.31",
            "num_predictions": 8,
            "at_chance": None,
            "truncated": None,
            "drop": self.drop(0.5),
            "teacher_drop": self.drop(0.5),
            "ladder": (),
            "breaks_at": None,
            "classes": (),
            "worst_errors": None,
            "size_bytes": 4 << 20,
        }
        return VerificationFacts.model_validate(fields | changes)

    def timing(self, p95_ms: float = 2.0, **changes: Any) -> TimingFacts:
        """Return times of the CPU, 80 MiB, four runs of which one was disturbed."""
        p95 = Quantile(value=p95_ms, low=p95_ms - 0.1, high=p95_ms + 0.1)
        p50 = Quantile(value=p95_ms - 0.5, low=p95_ms - 0.6, high=p95_ms - 0.4)
        nothing: Quantiles = {"p50": None, "p95": None}
        fields: Facts = {
            "engine": "onnxruntime 1.31",
            "provider": CPU,
            "threads": 1,
            "load_ms": 10.0,
            "first_ms": 5.0,
            "count": 150,
            "model_ms": {"p50": p50, "p95": p95},
            "end_to_end_ms": nothing,
            "pre_ms": nothing,
            "post_ms": nothing,
            "peak_memory_bytes": 80 << 20,
            "energy_j": None,
            "hottest_c": None,
            "warm_up_count": 10,
            "stable": True,
            "interfered": False,
            "runs": RunsFacts(
                asked=8, taken=9, undisturbed=9, p50_ms=(p50.value,) * 9, disturbances=((),) * 9
            ),
            "sustained": None,
        }
        return TimingFacts.model_validate(fields | changes)

    def latency(self, p95_ms: float = 2.0, **changes: Any) -> LatencyFacts:
        """Return the same times, measured on this machine."""
        fields: Facts = {
            **dict(self.timing(p95_ms)),
            "device": "local",
            "provenance": Provenance.MEASURED,
            "host": {"machine": "x86_64", "cores": 2},
            "broken": None,
        }
        return LatencyFacts.model_validate(fields | changes)

    def benchmark(self, **latencies: LatencyFacts) -> BenchmarkFacts:
        """Return the times of several candidates; ``onnx_int8=...``."""
        return BenchmarkFacts(
            candidates=tuple(
                CandidateLatency(candidate=self.candidate(name.replace("_", " ")), latency=each)
                for name, each in latencies.items()
            )
        )

    def row(self, name: str, **changes: Any) -> CandidateRow:
        """Return a line of a target's table, timed and chosen."""
        fields: Facts = {
            "candidate": self.candidate(name),
            "metric": "top1",
            "title": "top-1",
            "value": 0.875,
            "low": 0.7,
            "high": 0.95,
            "others": {},
            "drop_pp": 0.5,
            "drop_low_pp": -0.25,
            "drop_high_pp": 1.0,
            "breaks_at": None,
            "size_bytes": 1 << 20,
            "p50_ms": 1.5,
            "p95_ms": 2.0,
            "p95_low_ms": 1.9,
            "p95_high_ms": 2.1,
            "provenance": Provenance.MEASURED,
            "interfered": False,
            "memory_bytes": 50 << 20,
            "verdict": "chosen",
            "reason": "fastest within limits",
        }
        return CandidateRow.model_validate(fields | changes)

    def package(self, target: str, *rows: CandidateRow, **changes: Any) -> PackageFacts:
        """Return a held target whose first row was chosen."""
        fields: Facts = {
            "target": target,
            "device": "local",
            "threads": 1,
            "limits": Limits(),
            "verdict": "held",
            "why": "",
            "chosen": rows[0].candidate,
            "rows": rows,
        }
        return PackageFacts.model_validate(fields | changes)

    def bundle(self, target: str, **changes: Any) -> BundleManifest:
        """Return the manifest of a bundle of an fp32 ONNX file, never timed."""
        fields: Facts = {
            "schema": 1,
            "name": "colours",
            "edgetl": "0",
            "target": BundleTarget(
                name=target,
                description="a board",
                device="local",
                threads=1,
                limits=Limits(),
                board=None,
            ),
            "candidate": self.candidate("onnx fp32"),
            "verdict": "held",
            "why": "",
            "accuracy": self.verification("onnx fp32"),
            "latency": None,
            "made_with": {},
            "lineage": {},
            "model_files": ["model.onnx"],
            "files": {},
        }
        return BundleManifest.model_validate(fields | changes)


@pytest.fixture(scope="session")
def examples() -> Examples:
    return Examples()


@pytest.fixture(scope="session")
def environment() -> Callable[[Path, Sequence[str]], Path]:
    """Return what makes a virtual environment in a folder and returns its Python.

    It contains the named distributions and what they require, as links to those installed here.
    """
    return _environment


def _environment(folder: Path, distributions: Sequence[str]) -> Path:
    venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
    (site,) = folder.glob("lib/python*/site-packages")
    for name in _with_requirements(distributions):
        files = metadata.files(name) or []
        tops = {file.parts[0] for file in files} - {"..", "__pycache__"}
        for top in tops:
            (site / top).symlink_to(str(metadata.distribution(name).locate_file(top)))
    return folder / "bin" / "python"


def _with_requirements(distributions: Sequence[str]) -> set[str]:
    """Return the distributions with all that they require, without extras."""
    complete: set[str] = set()
    left = list(distributions)
    while left:
        name = re.sub(r"[-_.]+", "-", left.pop()).lower()
        if name in complete:
            continue
        complete.add(name)
        for line in metadata.requires(name) or []:
            required = Requirement(line)
            if required.marker is None or required.marker.evaluate({"extra": ""}):
                left.append(required.name)
    return complete


@pytest.fixture
def install_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, Mapping[str, str], Mapping[str, Mapping[str, str]]], Path]]:
    """Return a function that installs version 0.3 of a package on this process's path.

    It takes the distribution's name, its files, and its entry points by group, and returns the
    folder that it lies in. The package is forgotten when the test ends.
    """
    before = set(sys.modules)
    folders: list[Path] = []

    def install(
        name: str, files: Mapping[str, str], entry_points: Mapping[str, Mapping[str, str]]
    ) -> Path:
        folder = tmp_path / f"site-{name}"
        folders.append(folder)
        lines = [
            line
            for group, entries in entry_points.items()
            for line in (f"[{group}]", *(f"{key} = {value}" for key, value in entries.items()))
        ]
        description = f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.3\n"
        info = f"{name.replace('-', '_')}-0.3.dist-info"
        written = {
            **files,
            f"{info}/METADATA": description,
            f"{info}/entry_points.txt": "\n".join(lines) + "\n",
        }
        for path, text in written.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(folder)
        installed._by_group.cache_clear()
        return folder

    yield install
    installed._by_group.cache_clear()
    for module in set(sys.modules) - before:
        file = getattr(sys.modules[module], "__file__", None)
        if file is not None and any(folder in Path(file).parents for folder in folders):
            del sys.modules[module]


@pytest.fixture(scope="session")
def shelve() -> Callable[[Path, str, str, Facts], Artifact]:
    """Return what makes an artifact of a folder as it is, given label, kind and facts."""

    def make(folder: Path, label: str, kind: str, facts: Facts) -> Artifact:
        manifest = Manifest(
            stage=label.partition(" ")[0],
            version=1,
            kind=kind,
            label=label,
            settings={},
            inputs={},
            tools={},
            files=digest_folder(folder),
            facts=facts,
            key=f"key of {label}",
            digest=f"digest of {label}",
            made_at="2000-01-01T00:00:00+00:00",
            seconds=0.0,
        )
        return Artifact(folder, manifest)

    return make
