"""Look at the files of a data path once, for all layouts: which are images, which no examples."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from posixpath import splitext

from edgetl.data.container import Container
from edgetl.data.hidden_files import is_hidden, is_system_name
from edgetl.data.listing import Ignored
from edgetl.data.sources._files import has_image_suffix, is_image
from edgetl.data.sources._image_content import images_by_content
from edgetl.data.sources._json import json_forms
from edgetl.data.sources._masks import find_masks
from edgetl.data.sources._screened import ScreenedContainer

_THUMBNAILS = re.compile(r"thumbs?|thumbnails?|previews?", re.IGNORECASE)
"""Folders for small copies of the images around them."""
_THUMBNAIL = re.compile(r"(?P<base>.+)[\s_.-]+(?:thumb|thumbnail|preview)", re.IGNORECASE)

_PICTURE = re.compile(
    r"(?P<base>.+?)[\s_.-]+(?:depth|disparity|normals|flow|heat_?map|saliency|attention|grad_?cam|"
    r"edges?|canny|skeleton|pose|key_?points|landmarks|bbox(?:es)?|boxes|vis|viz|visuali[sz]ed|"
    r"visuali[sz]ation|pred|prediction|result)",
    re.IGNORECASE,
)
"""The stem of a picture that a program made of another image, whose stem is in front."""
_MAYBE_PICTURE = re.compile(
    r"depth|dispar|normals|flow|heat|salien|attent|cam|edge|canny|skel|pose|points|landm|box|vi[sz]|"
    r"pred|result",
    re.IGNORECASE,
)
"""A part of all these names."""
_MAYBE_THUMBNAIL = re.compile(r"thumb|preview", re.IGNORECASE)


def screen(container: Container) -> ScreenedContainer:
    """Return the files of a container without masks, with what a look at them shows."""
    visible = [name for name in container.files if not is_hidden(name)]
    odd = images_by_content(container, visible)
    known = frozenset(odd)
    images = [name for name in visible if has_image_suffix(name) or name in known]
    masks = find_masks(container, images)
    thumbnails = _thumbnails([name for name in images if name not in masks])
    pictures = _pictures([name for name in images if name not in masks | thumbnails])
    gone = masks | thumbnails | pictures
    files = container.files
    if gone:
        files = tuple(name for name in files if name not in gone)
    by_suffix: dict[str, list[str]] = defaultdict(list)
    for name in visible:
        if name not in gone:
            by_suffix[splitext(name)[1].lower()].append(name)
    excluded = (name for name in container.excluded if is_image(name))
    return ScreenedContainer(
        container=container,
        files=files,
        folders=_without(container.folders, gone, files),
        images=(*(name for name in images if name not in gone), *excluded),
        by_suffix={suffix: tuple(names) for suffix, names in by_suffix.items()},
        odd_images=tuple(name for name in odd if name not in gone),
        ignored=tuple(_ignored(container, masks, thumbnails, pictures)),
        json_forms=json_forms(container, tuple(by_suffix.get(".json", ()))),
    )


def _thumbnails(images: Sequence[str]) -> frozenset[str]:
    """Return the small copies in folders for them, or with a name for them, of an image there."""
    named_so = [name for name in images if _MAYBE_THUMBNAIL.search(name)]
    if not named_so:
        return frozenset()
    stems = {splitext(name)[0] for name in images}
    copies: set[str] = set()
    for name in named_so:
        stem = splitext(name)[0]
        folder, slash, file = stem.rpartition("/")
        above, between, own = folder.rpartition("/")
        named = _THUMBNAIL.fullmatch(file)
        bases = {file, named["base"] if named else file}
        inside = _THUMBNAILS.fullmatch(own) and any(
            f"{above}{between}{base}" in stems for base in bases
        )
        if inside or (named and f"{folder}{slash}{named['base']}" in stems):
            copies.add(name)
    return frozenset(copies)


def _pictures(images: Sequence[str]) -> frozenset[str]:
    """Return depth maps, heat maps and results of models, beside the image that they are of."""
    named_so = [name for name in images if _MAYBE_PICTURE.search(name)]
    stems = {splitext(name)[0] for name in images} if named_so else set()
    pictures: set[str] = set()
    for name in named_so:
        folder, slash, file = splitext(name)[0].rpartition("/")
        match = _PICTURE.fullmatch(file)
        if match and f"{folder}{slash}{match['base']}" in stems:
            pictures.add(name)
    return frozenset(pictures)


def _without(
    folders: tuple[str, ...], gone: frozenset[str], files: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the folders but those that had nothing but ignored images."""
    emptied = {parent for name in gone for parent in _parents(name)}
    emptied -= {parent for name in files for parent in _parents(name)}
    return tuple(folder for folder in folders if folder not in emptied)


def _parents(name: str) -> Iterator[str]:
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name


def _ignored(
    container: Container,
    masks: frozenset[str],
    thumbnails: frozenset[str],
    pictures: frozenset[str],
) -> Iterator[Ignored]:
    hidden = [name for name in container.files if is_hidden(name) and has_image_suffix(name)]
    system = [name for name in hidden if any(map(is_system_name, name.split("/")))]
    own = [name for name in hidden if name not in {*system}]
    for what, names in (
        ("masks", sorted(masks)),
        ("thumbnails", sorted(thumbnails)),
        ("pictures made of other images", sorted(pictures)),
        ("hidden images", own),
        ("images in folders of the system", system),
    ):
        if names:
            yield Ignored(what, tuple(names))
