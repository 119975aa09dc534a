"""Read the data of a job as a run would: what is wrong with them, and what they hold.

A run refuses data in its first stages, one role after the other. This makes the same indexes in a
temporary folder, and goes on after a refusal to collect all reasons.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from edgetl.data.overview import summarise_sizes
from edgetl.errors import EdgetlError, Problem
from edgetl.facts.dataset import DataOverview, DataOverviews
from edgetl.hashing import digest_value
from edgetl.stages import Inspection, Job, Progress, Workspace
from edgetl.stages._calibration_images import calibration_problems
from edgetl.stages._index_making import Settings, make_index
from edgetl.stages._unseen_boxes import unseen_boxes
from edgetl.stages._views import inputs_of, preprocess_of
from edgetl.types import Role

if TYPE_CHECKING:  # planning must not wait for numpy
    from edgetl.data.dataset import DatasetIndex

_VERSION = 2
"""Raised when data that passed before may no longer pass, or have another overview."""


@dataclass(slots=True)
class _Notes:
    """Collects notes, and passes steps on."""

    outer: Progress
    notes: list[str] = field(default_factory=list)

    def step(self, done: int, total: int, text: str) -> None:
        self.outer.step(done, total, text)

    def note(self, text: str) -> None:
        self.notes.append(text)


def inspect_roles(
    job: Job, settings: Mapping[Role, Settings], readers: Mapping[str, str], progress: Progress
) -> Inspection:
    """Return what reading the datasets shows; what has passed once is not read again.

    Args:
        job: Its inputs decide which boxes training sees.
        settings: Of the index of each role, each after those with which it shares no images.
        readers: What reads them, with its version: plug-ins, and the stage.
        progress: Receives the number of images read.
    """
    problems: list[Problem] = []

    def read() -> str | None:
        with TemporaryDirectory(prefix="edgetl-") as folder:
            rows = tuple(_read(job, settings, Path(folder), problems, progress))
        return None if problems else DataOverviews(rows=rows).model_dump_json()

    key = digest_value(
        {
            "version": _VERSION,
            "settings": {role: each.model_dump(mode="json") for role, each in settings.items()},
            "readers": dict(readers),
            "inputs": [each.model_dump(mode="json") for each in inputs_of(job)],
        }
    )
    text = job.recall(key, read)
    overviews = () if text is None else DataOverviews.model_validate_json(text).rows
    for overview in overviews:
        if overview.facts.role is Role.DATA:
            problems.extend(calibration_problems(job, overview.facts.images))
    return Inspection(tuple(problems), overviews)


def _read(
    job: Job,
    settings: Mapping[Role, Settings],
    folder: Path,
    problems: list[Problem],
    progress: Progress,
) -> Iterator[DataOverview]:
    """Index every dataset below `folder`, and add what is wrong to `problems`."""
    from edgetl.data.dataset import DatasetIndex

    others: list[DatasetIndex] = []
    for role, each in settings.items():
        out, notes = folder / role, _Notes(progress)
        out.mkdir()
        try:
            facts = make_index(each, others, Workspace(out, out, out, notes))
        except EdgetlError as error:
            problems.append(Problem(f"{role}.path", str(error)))
            continue
        index = DatasetIndex.read(out)
        problems.extend(_box_problems(job, index, notes))
        if others or role is Role.DATA:  # nothing is compared with data that cannot be used
            others.append(index)
        sizes = summarise_sizes(index.annotations.sizes.tolist())
        yield DataOverview(facts=facts, sizes=sizes, notes=tuple(notes.notes))


def _box_problems(job: Job, index: DatasetIndex, notes: _Notes) -> Iterator[Problem]:
    """Yield the inputs at which training sees no box."""
    if not index.has_boxes:
        return
    for image_input in inputs_of(job):
        try:
            unseen_boxes(index, preprocess_of(image_input), notes)
        except EdgetlError as error:
            yield Problem("input", str(error))
