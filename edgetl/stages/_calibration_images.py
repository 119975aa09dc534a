"""Whether the splits have the images that calibrate int8 files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edgetl.errors import Problem
from edgetl.quantizers import CALIBRATED
from edgetl.stages import Job
from edgetl.types import Split


def calibration_problems(job: Job, counts: Mapping[Split, int]) -> Iterator[Problem]:
    """Yield why the splits have too few images to calibrate with, if anything is quantized.

    Args:
        job: Whose targets say whether a file is quantized; without any, one may be.
        counts: Images by split.
    """
    wanted = job.calibration
    files = [files for target in job.targets for files in target.files().values()]
    precisions = frozenset(precision for precisions in files for precision in precisions)
    available = counts[Split(wanted.split)]
    least = 1 if wanted.allow_fewer else wanted.count
    if available < least and (not precisions or CALIBRATED & precisions):
        images = "image" if least == 1 else "images"
        yield Problem(
            "calibration",
            f"'{wanted.name}' needs {least:,} {images} of the {wanted.split} split, "
            f"which has {available:,}",
        )
