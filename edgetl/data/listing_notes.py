"""Sentences on what a user must know of listed images before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from posixpath import splitext

from edgetl.data.groups import straddling
from edgetl.data.listing import Listing
from edgetl.data.sources._codes import OPEN_IMAGES, WORD_NET
from edgetl.data.sources._unread import OTHER_FORMATS

_MAX_SHOWN = 3


def notes_of(listing: Listing) -> Iterator[str]:
    """Yield which images are ignored, in no split, recognised by their content, or copies."""
    for ignored in listing.ignored:
        yield f"ignored {len(ignored.names):,} {ignored.what}: {few(ignored.names)}"
    odd = listing.odd_images
    if odd:
        what = "image has no image suffix and is recognised by its content"
        if len(odd) > 1:
            what = "images have no image suffix and are recognised by their content"
        yield f"{len(odd):,} {what}: {few(odd)}"
    formats = [name for name in listing.others if splitext(name)[1].lower() in OTHER_FORMATS]
    if formats:
        what = "file is an image" if len(formats) == 1 else "files are images"
        yield f"{len(formats):,} {what} in a format that is not read: {few(formats)}"
    unlisted = listing.unlisted
    if unlisted:
        what = "image belongs" if len(unlisted) == 1 else "images belong"
        yield f"{len(unlisted):,} {what} to no split: {few(unlisted)}"
    yield from _codes(listing.classes)
    if listing.group_hint:
        yield listing.group_hint
    if not listing.groups:
        return
    count = len(set(listing.groups.values()))
    if listing.states_groups:
        yield f"{len(listing.groups):,} images in {count:,} groups that stay in one split each"
        return
    yield (
        f"{len(listing.groups):,} images are copies of {count:,} by their names: "
        f"{few(sorted(listing.groups))}"
    )
    given = {sample.name: sample.split for sample in listing.samples if sample.split}
    across = straddling(listing.groups, given)
    if across:
        names = [name for members in across.values() for name in members]
        yield f"copies of {len(across):,} images are in several splits: {few(names)}"


def _codes(classes: Sequence[str]) -> Iterator[str]:
    """Yield which class names are codes that say nothing to those who see them on a device."""
    for pattern, catalogue, remedy in (
        (OPEN_IMAGES, "Open Images", "put its class-descriptions.csv beside the labels"),
        (WORD_NET, "WordNet", "rename the classes"),
    ):
        codes = [each for each in classes if pattern.fullmatch(each)]
        if codes:
            what = "class name is a code" if len(codes) == 1 else "class names are codes"
            yield f"{len(codes):,} {what} of {catalogue}: {few(codes)}; {remedy} to have words"


def few(names: Sequence[str]) -> str:
    """Return the first names, with dots if there are more."""
    return ", ".join(names[:_MAX_SHOWN]) + (", ..." if len(names) > _MAX_SHOWN else "")
