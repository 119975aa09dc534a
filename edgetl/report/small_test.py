"""Whether the test split has enough images to show that limits on accuracy hold."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from edgetl.config.limits import LIMITS, Limits, Source

_PERCENT = 100
_FINEST_PP = 1.0
"""Steps in which an accuracy can be shown at least, whatever the limits are."""


def small_test_lines(num_images: int, limits: Iterable[Limits]) -> Iterator[str]:
    """Yield one line if so few images are tested on that a single one decides on a limit.

    Args:
        num_images: Images in the test split.
        limits: Of all targets.
    """
    steps: dict[str, float] = {}
    for each in limits:
        for name, limit in LIMITS.items():
            bound = each.bound(name)
            if limit.source is Source.PREDICTIONS and bound is not None:
                text = f"{limit.title} {limit.required(bound)}"
                steps[text] = max(bound, _FINEST_PP) if limit.unit == "pp" else _FINEST_PP
    if not num_images or not steps:
        return
    least = math.ceil(_PERCENT / min(steps.values()))
    if num_images < least:
        what = "image" if num_images == 1 else "images"
        yield (
            f"the test split has {num_images:,} {what}, so a single one can change the accuracy by "
            f"{_PERCENT / num_images:.0f} pp: too small to show a limit ({', '.join(steps)}); at "
            f"least {least:,} are needed"
        )
