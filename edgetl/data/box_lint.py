"""Check labelled boxes against the sizes of their images.

In the result every box is in pixels, inside its image and has an area. Wrong boxes are findings
unless the recipe allows dropping or repairing them, which is recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from edgetl.config.recipe import Accept, Drop, Repair
from edgetl.data.findings import Allowed, DroppedItem, Finding
from edgetl.data.sources import Box, LabelProblem, Listing, Sample

_ROUNDING = 1.0
"""Pixels beyond the border that are explained by rounding; always clipped."""
_NOTHING = 0.01
"""Pixels; narrower boxes have no area, and a smaller excess is clipped without a record."""
_SAME_SHAPE = 0.02
"""Relative difference in aspect ratio that is explained by rounding."""

_NO_AREA = "box without area"
_OUTSIDE = "box outside of its image"
_BEYOND = "box that reaches beyond its image"
_REPEATED = "box that repeats another"
_OTHER_SIZE = "image of another size than its labels say"
_NO_LABELS = "image without labels"

_Corners = tuple[float, float, float, float]
_Kind = tuple[str, Drop | None, Repair | None, Accept | None, str]


@dataclass(frozen=True, slots=True)
class BoxLint:
    """The result of checking all boxes."""

    listing: Listing
    """The remaining images and boxes; corners in pixels, no problems left."""
    dropped: tuple[DroppedItem, ...]
    findings: tuple[Finding, ...]
    repaired: Mapping[str, tuple[str, ...]]
    """Changed boxes by `Repair`; `rounding` lists boxes up to a pixel beyond the border."""


def lint_boxes(listing: Listing, sizes: Mapping[str, tuple[int, int]], allowed: Allowed) -> BoxLint:
    """Check every box of every image with a known size.

    Args:
        listing: Images with the boxes of their layout.
        sizes: Height and width by image; unreadable images are missing.
        allowed: What may be dropped, repaired and accepted.
    """
    work = _Work(allowed)
    gone = work.take_problems(listing)
    samples = []
    for sample in listing.samples:
        if sample.name not in gone:
            settled = work.settle(sample, sizes.get(sample.name))
            samples += [] if settled is None else [settled]
    return BoxLint(
        replace(listing, samples=tuple(samples), problems=()),
        tuple(work.dropped),
        tuple(
            Finding(title, tuple(examples), drop, repair, accept, fix)
            for (title, drop, repair, accept, fix), examples in work.examples.items()
        ),
        {name: tuple(where) for name, where in sorted(work.repaired.items())},
    )


@dataclass(slots=True)
class _Work:
    """Results so far."""

    allowed: Allowed
    dropped: list[DroppedItem] = field(default_factory=list)
    examples: dict[_Kind, list[str]] = field(default_factory=dict)
    repaired: dict[str, list[str]] = field(default_factory=dict)

    def take_problems(self, listing: Listing) -> frozenset[str]:
        """Record the problems of the layout and return the images that are dropped for them."""
        gone: dict[str, LabelProblem] = {}
        for problem in listing.problems:
            if problem.drop not in self.allowed.drop:
                self._report(problem.title, problem.example, problem.drop, fix=problem.fix)
            elif problem.image:
                gone.setdefault(problem.image, problem)
            else:
                self._drop(problem.example, problem.drop, problem.title)
        for image, problem in gone.items():
            self._drop(image, problem.drop, problem.example)
        return frozenset(gone)

    def settle(self, sample: Sample, size: tuple[int, int] | None) -> Sample | None:
        """Return an image with its final boxes; None if it is dropped."""
        if not sample.labelled and Accept.BACKGROUND not in self.allowed.accept:
            if Drop.UNLABELLED in self.allowed.drop:
                self._drop(sample.name, Drop.UNLABELLED, "no labels")
                return None
            self._report(_NO_LABELS, sample.name, Drop.UNLABELLED, None, Accept.BACKGROUND)
        if size is None:
            return sample
        scale = self._scale(sample, size)
        if scale is None:
            return None
        boxes: list[Box] = []
        for box in sample.boxes:
            settled = self._settle_box(box, _scaled(box.corners, scale), size)
            if settled is not None and not self._repeats(settled, boxes):
                boxes.append(settled)
        if sample.boxes and not boxes:
            self._drop(sample.name, Drop.BAD_BOXES, "lost its last box")
            return None
        return replace(sample, boxes=tuple(boxes), relative=False, stated_size=None)

    def _scale(self, sample: Sample, size: tuple[int, int]) -> tuple[float, float] | None:
        """Return the factors that convert x and y to pixels; None if the image is dropped."""
        height, width = size
        if sample.relative:
            return width, height
        if sample.stated_size in {None, size}:
            return 1.0, 1.0
        stated_height, stated_width = sample.stated_size or size
        what = (
            f"{sample.name}: labels for {stated_width} x {stated_height}, the image is "
            f"{width} x {height}"
        )
        ratio = (stated_width / stated_height) / (width / height)
        can_scale = abs(ratio - 1.0) <= _SAME_SHAPE
        if sample.stated_size == (width, height):
            what += "; they match the image before its EXIF orientation is applied"
        if can_scale and Repair.SCALE_BOXES in self.allowed.repair:
            self._record(Repair.SCALE_BOXES, sample.name)
            return width / stated_width, height / stated_height
        if Drop.WRONG_SIZES in self.allowed.drop:
            self._drop(sample.name, Drop.WRONG_SIZES, what)
            return None
        repair = Repair.SCALE_BOXES if can_scale else None
        self._report(_OTHER_SIZE, what, Drop.WRONG_SIZES, repair)
        return 1.0, 1.0

    def _settle_box(self, box: Box, corners: _Corners, size: tuple[int, int]) -> Box | None:
        """Return the box inside its image; None if it is dropped or a finding."""
        height, width = size
        left, top, right, bottom = corners
        what = f"{box.where}: {box.label} at {_formatted(corners)} of {width} x {height}"
        outside = left >= width or top >= height or right <= 0.0 or bottom <= 0.0
        if outside or right - left < _NOTHING or bottom - top < _NOTHING:
            title = _OUTSIDE if outside else _NO_AREA
            if Drop.BAD_BOXES in self.allowed.drop:
                self._drop(box.where, Drop.BAD_BOXES, title)
            else:
                self._report(title, what, Drop.BAD_BOXES)
            return None
        beyond = max(-left, -top, right - width, bottom - height)
        if beyond > _ROUNDING and Repair.CLIP_BOXES not in self.allowed.repair:
            self._report(_BEYOND, what, None, Repair.CLIP_BOXES)
        elif beyond > _ROUNDING:
            self._record(Repair.CLIP_BOXES, box.where)
        elif beyond > _NOTHING:
            self._record("rounding", box.where)
        inside = (max(left, 0.0), max(top, 0.0), min(right, width), min(bottom, height))
        return replace(box, corners=inside)

    def _repeats(self, box: Box, others: Iterable[Box]) -> bool:
        """Return whether the box repeats an earlier one and is dropped."""
        same = [other for other in others if _identity(other) == _identity(box)]
        if not same:
            return False
        if Drop.REPEATED_BOXES in self.allowed.drop:
            self._drop(box.where, Drop.REPEATED_BOXES, f"equal to {same[0].where}")
            return True
        what = f"{box.where} = {same[0].where}: {box.label} at {_formatted(box.corners)}"
        self._report(_REPEATED, what, Drop.REPEATED_BOXES)
        return False

    def _report(
        self,
        title: str,
        example: str,
        drop: Drop | None = None,
        repair: Repair | None = None,
        accept: Accept | None = None,
        *,
        fix: str = "",
    ) -> None:
        self.examples.setdefault((title, drop, repair, accept, fix), []).append(example)

    def _drop(self, name: str, kind: Drop | None, reason: str) -> None:
        if kind is not None:
            self.dropped.append(DroppedItem(name, kind, reason))

    def _record(self, kind: str, where: str) -> None:
        self.repaired.setdefault(str(kind), []).append(where)


def _scaled(corners: _Corners, scale: tuple[float, float]) -> _Corners:
    left, top, right, bottom = corners
    across, down = scale
    return left * across, top * down, right * across, bottom * down


def _identity(box: Box) -> tuple[str, _Corners, bool]:
    return box.label, box.corners, box.crowd


def _formatted(corners: _Corners) -> str:
    return " ".join(f"{value:.6g}" for value in corners)
