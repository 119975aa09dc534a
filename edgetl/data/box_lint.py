"""Check labelled boxes against the sizes of their images.

In the result every box is in pixels, inside its image and has an area. Wrong boxes are findings
unless the recipe allows dropping or repairing them, which is recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from edgetl.config.recipe import Accept, Drop, Repair
from edgetl.data.box_repairs import (
    QUARTER_TURNS,
    Corners,
    as_corners,
    look_like_corners,
    look_like_fractions,
    turned,
)
from edgetl.data.findings import Allowed, DroppedItem, Finding, is_most, share_of
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

_LIKE_CORNERS = "box whose numbers look like corners, not like a place and a size"
_LIKE_FRACTIONS = "box in fractions of the image in place of pixels"
_NEEDS = {
    Repair.OUTLINES: "outline in place of a box",
    Repair.PIXELS: "box in pixels in place of fractions of the image",
}
"""Titles of boxes that are none without a repair."""
_UPRIGHT = 1
"""The EXIF orientation of an image that is not turned."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """What findings have in common that are reported together."""

    title: str
    drop: Drop | None = None
    repair: Repair | None = None
    accept: Accept | None = None
    fix: str = ""


@dataclass(frozen=True, slots=True)
class BoxLint:
    """The result of checking all boxes."""

    listing: Listing
    """The remaining images and boxes; corners in pixels, no problems left."""
    dropped: tuple[DroppedItem, ...]
    findings: tuple[Finding, ...]
    repaired: Mapping[str, tuple[str, ...]]
    """Changed boxes by `Repair`; `rounding` lists boxes up to a pixel beyond the border."""


def lint_boxes(
    listing: Listing,
    sizes: Mapping[str, tuple[int, int]],
    allowed: Allowed,
    orientations: Mapping[str, int] | None = None,
) -> BoxLint:
    """Check every box of every image with a known size.

    Args:
        listing: Images with the boxes of their layout.
        sizes: Height and width by image; unreadable images are missing.
        allowed: What may be dropped, repaired and accepted.
        orientations: EXIF orientation by image, where it is not upright.
    """
    in_fractions = look_like_fractions(listing)
    if in_fractions and Repair.FRACTIONS in allowed.repair:
        relative = tuple(replace(sample, relative=True) for sample in listing.samples)
        listing = replace(listing, samples=relative)
    work = _Work(listing, allowed, orientations or {}, look_like_corners(listing, sizes))
    gone = work.take_problems(listing)
    if in_fractions:
        work.take_fractions()
    samples = []
    for sample in listing.samples:
        if sample.name not in gone:
            settled = work.settle(sample, sizes.get(sample.name))
            samples += [] if settled is None else [settled]
    return BoxLint(
        replace(listing, samples=tuple(samples), problems=()),
        tuple(work.dropped),
        tuple(work.finding(kind, examples) for kind, examples in work.examples.items()),
        {name: tuple(where) for name, where in sorted(work.repaired.items())},
    )


@dataclass(slots=True)
class _Work:
    """Results so far."""

    listing: Listing
    allowed: Allowed
    orientations: Mapping[str, int]
    has_corners: bool
    """Whether the labels seem to have corners where their format has something else."""
    dropped: list[DroppedItem] = field(default_factory=list)
    examples: dict[_Kind, list[str]] = field(default_factory=dict)
    affected: dict[_Kind, list[str]] = field(default_factory=dict)
    """Images of the examples; empty for labels without one."""
    of_unknown_size: set[str] = field(default_factory=set)
    """Images whose labels state another size, which the recipe does not repair."""
    advice: dict[_Kind, set[str]] = field(default_factory=dict)
    """How to fix labels that are too many to be dropped."""
    repaired: dict[str, list[str]] = field(default_factory=dict)

    def finding(self, kind: _Kind, examples: Sequence[str]) -> Finding:
        """Return what is reported of one kind of problem."""
        share = self.share(kind)
        advice = "; ".join(sorted(self.advice.get(kind, ()))) if is_most(share) else ""
        return Finding(
            kind.title,
            tuple(examples),
            kind.drop,
            kind.repair,
            kind.accept,
            kind.fix,
            advice,
            share,
        )

    def share(self, kind: _Kind) -> float:
        """Return the share of the data that dropping a kind of problem would remove."""
        samples, names = self.listing.samples, self.affected[kind]
        if kind.drop in {Drop.BAD_BOXES, Drop.REPEATED_BOXES}:
            return share_of(len(names), sum(len(sample.boxes) for sample in samples))
        images = {name for name in names if name}
        if kind.drop is Drop.STRAY_LABELS and not images:
            labelled = sum(sample.labelled for sample in samples)
            return share_of(len(names), len(names) + labelled)
        return share_of(len(images), len(samples))

    def take_problems(self, listing: Listing) -> frozenset[str]:
        """Record the problems of the layout and return the images that are dropped for them."""
        gone: dict[str, LabelProblem] = {}
        for problem in listing.problems:
            if problem.drop not in self.allowed.drop:
                kind = _Kind(problem.title, problem.drop, fix=problem.fix)
                self._report(kind, problem.example, problem.image)
                if problem.advice:
                    self.advice.setdefault(kind, set()).add(problem.advice)
            elif problem.image:
                gone.setdefault(problem.image, problem)
            else:
                self._drop(problem.example, problem.drop, problem.title)
        for image, problem in gone.items():
            self._drop(image, problem.drop, problem.example)
        return frozenset(gone)

    def take_fractions(self) -> None:
        """Record that all boxes are in fractions where their format has pixels."""
        for sample in self.listing.samples:
            for box in sample.boxes:
                if sample.relative:
                    self._record(Repair.FRACTIONS, box.where)
                    continue
                what = f"{box.where}: {box.label} at {_formatted(box.corners)}"
                self._report(_Kind(_LIKE_FRACTIONS, repair=Repair.FRACTIONS), what, sample.name)

    def settle(self, sample: Sample, size: tuple[int, int] | None) -> Sample | None:
        """Return an image with its final boxes; None if it is dropped."""
        if not sample.labelled and Accept.BACKGROUND not in self.allowed.accept:
            if Drop.UNLABELLED in self.allowed.drop:
                self._drop(sample.name, Drop.UNLABELLED, "no labels")
                return None
            kind = _Kind(_NO_LABELS, Drop.UNLABELLED, accept=Accept.BACKGROUND)
            self._report(kind, sample.name, sample.name)
        if not self._takes_outlines(sample):
            return None
        scale = self._scale(sample, size) if size else None
        if size is None or sample.name in self.of_unknown_size:
            return sample  # Where its boxes lie is not known, so nothing is said of them.
        if scale is None:
            return None
        boxes, is_doubtful = self._settle_boxes(sample, size, scale)
        if sample.boxes and not boxes and not is_doubtful:
            self._drop(sample.name, Drop.BAD_BOXES, "lost its last box")
            return None
        return replace(sample, boxes=boxes, relative=False, stated_size=None)

    def _settle_boxes(
        self, sample: Sample, size: tuple[int, int], scale: tuple[float, float]
    ) -> tuple[tuple[Box, ...], bool]:
        """Return the boxes inside their image, and whether others are in doubt."""
        boxes: list[Box] = []
        is_doubtful = False
        for box in sample.boxes:
            corners = self._placed(box, sample, size, scale)
            if corners is None:
                is_doubtful = True
                continue
            settled = self._settle_box(box, corners, sample.name, size)
            if settled is not None and not self._repeats(settled, boxes, sample.name):
                boxes.append(settled)
        return tuple(boxes), is_doubtful

    def _takes_outlines(self, sample: Sample) -> bool:
        """Report what is a box only after a repair; return False if the image is dropped for it."""
        for box in sample.boxes:
            if box.needs is None:
                continue
            if box.needs in self.allowed.repair:
                self._record(box.needs, box.where)
            elif Drop.BAD_LABELS in self.allowed.drop:
                self._drop(sample.name, Drop.BAD_LABELS, f"{box.where}: {_NEEDS[box.needs]}")
                return False
            else:
                kind = _Kind(_NEEDS[box.needs], Drop.BAD_LABELS, box.needs)
                self._report(kind, f"{box.where}: {box.label}", sample.name)
        return True

    def _placed(
        self, box: Box, sample: Sample, size: tuple[int, int], scale: tuple[float, float]
    ) -> Corners | None:
        """Return the box in pixels of the upright image; None if its numbers are in doubt."""
        if box.needs and box.needs not in self.allowed.repair:
            return None
        corners = box.corners
        if self.has_corners and box.needs is None:
            if Repair.CORNERS not in self.allowed.repair:
                numbers = _formatted(as_corners(box, self.listing.form))
                self._report(_Kind(_LIKE_CORNERS, repair=Repair.CORNERS), f"{box.where}: {numbers}")
                return None
            self._record(Repair.CORNERS, box.where)
            corners = as_corners(box, self.listing.form)
        if box.needs is not Repair.PIXELS:
            corners = _scaled(corners, scale)
        orientation = self._orientation_of_labels(sample, size)
        if orientation != _UPRIGHT:
            self._record(Repair.TURN_BOXES, box.where)
        return turned(corners, size, orientation)

    def _orientation_of_labels(self, sample: Sample, size: tuple[int, int]) -> int:
        """Return how boxes must be turned: not at all, or like the pixels of their image."""
        orientation = self.orientations.get(sample.name, _UPRIGHT)
        stored = size[::-1] if orientation in QUARTER_TURNS else size
        fits = sample.stated_size in {None, stored}
        return orientation if fits and Repair.TURN_BOXES in self.allowed.repair else _UPRIGHT

    def _scale(self, sample: Sample, size: tuple[int, int]) -> tuple[float, float] | None:
        """Return the factors that convert x and y to pixels; None if the image is dropped."""
        height, width = size
        stored = size[::-1] if self._orientation_of_labels(sample, size) in QUARTER_TURNS else size
        if sample.relative:
            # Fractions are turned as such; what is turned afterwards has the sides exchanged.
            return float(stored[1]), float(stored[0])
        if sample.stated_size in {None, stored}:
            return 1.0, 1.0
        stated_height, stated_width = sample.stated_size or size
        what = (
            f"{sample.name}: labels for {stated_width} x {stated_height}, the image is "
            f"{width} x {height}"
        )
        ratio = (stated_width / stated_height) / (width / height)
        repair = Repair.SCALE_BOXES if abs(ratio - 1.0) <= _SAME_SHAPE else None
        if sample.stated_size == (width, height):
            is_turned = self.orientations.get(sample.name, _UPRIGHT) in QUARTER_TURNS
            repair = Repair.TURN_BOXES if is_turned else Repair.SWAP_SIZES
            what += (
                "; they match the image before its EXIF orientation is applied"
                if is_turned
                else "; width and height are exchanged, and no EXIF orientation explains it"
            )
        if repair in self.allowed.repair and repair is not Repair.TURN_BOXES:
            self._record(str(repair), sample.name)
            if repair is Repair.SWAP_SIZES:
                return 1.0, 1.0
            return width / stated_width, height / stated_height
        if Drop.WRONG_SIZES in self.allowed.drop:
            self._drop(sample.name, Drop.WRONG_SIZES, what)
            return None
        self._report(_Kind(_OTHER_SIZE, Drop.WRONG_SIZES, repair), what, sample.name)
        self.of_unknown_size.add(sample.name)
        return 1.0, 1.0

    def _settle_box(
        self, box: Box, corners: Corners, image: str, size: tuple[int, int]
    ) -> Box | None:
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
                self._report(_Kind(title, Drop.BAD_BOXES), what, image)
            return None
        beyond = max(-left, -top, right - width, bottom - height)
        if beyond > _ROUNDING and Repair.CLIP_BOXES not in self.allowed.repair:
            self._report(_Kind(_BEYOND, repair=Repair.CLIP_BOXES), what, image)
        elif beyond > _ROUNDING:
            self._record(Repair.CLIP_BOXES, box.where)
        elif beyond > _NOTHING:
            self._record("rounding", box.where)
        inside = (max(left, 0.0), max(top, 0.0), min(right, width), min(bottom, height))
        return replace(box, corners=inside, needs=None)

    def _repeats(self, box: Box, others: Iterable[Box], image: str) -> bool:
        """Return whether the box repeats an earlier one and is dropped."""
        same = [other for other in others if _identity(other) == _identity(box)]
        if not same:
            return False
        if Drop.REPEATED_BOXES in self.allowed.drop:
            self._drop(box.where, Drop.REPEATED_BOXES, f"equal to {same[0].where}")
            return True
        what = f"{box.where} = {same[0].where}: {box.label} at {_formatted(box.corners)}"
        self._report(_Kind(_REPEATED, Drop.REPEATED_BOXES), what, image)
        return False

    def _report(self, kind: _Kind, example: str, image: str = "") -> None:
        self.examples.setdefault(kind, []).append(example)
        self.affected.setdefault(kind, []).append(image)

    def _drop(self, name: str, kind: Drop | None, reason: str) -> None:
        if kind is not None:
            self.dropped.append(DroppedItem(name, kind, reason))

    def _record(self, kind: str, where: str) -> None:
        self.repaired.setdefault(str(kind), []).append(where)


def _scaled(corners: Corners, scale: tuple[float, float]) -> Corners:
    left, top, right, bottom = corners
    across, down = scale
    return left * across, top * down, right * across, bottom * down


def _identity(box: Box) -> tuple[str, Corners, bool]:
    return box.label, box.corners, box.crowd


def _formatted(corners: Corners) -> str:
    return " ".join(f"{value:.6g}" for value in corners)
