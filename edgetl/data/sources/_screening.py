"""Look at the files of a data path once, for all layouts: which are images, which no examples."""

from __future__ import annotations

from collections.abc import Iterator

from edgetl.data.container import Container
from edgetl.data.hidden_files import is_hidden, is_system_name
from edgetl.data.listing import Ignored
from edgetl.data.sources._files import has_image_suffix, is_image
from edgetl.data.sources._image_content import images_by_content
from edgetl.data.sources._json import json_forms
from edgetl.data.sources._masks import find_masks
from edgetl.data.sources._screened import ScreenedContainer


def screen(container: Container) -> ScreenedContainer:
    """Return the files of a container without masks, with what a look at them shows."""
    odd = images_by_content(container)
    known = frozenset(odd)
    images = [name for name in container.files if is_image(name) or name in known]
    masks = find_masks(container, images)
    files = tuple(name for name in container.files if name not in masks)
    return ScreenedContainer(
        container=container,
        files=files,
        folders=_without(container.folders, masks, files),
        odd_images=tuple(name for name in odd if name not in masks),
        ignored=tuple(_ignored(container, masks)),
        json_forms=json_forms(container),
    )


def _without(
    folders: tuple[str, ...], masks: frozenset[str], files: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the folders but those that had nothing but masks."""
    emptied = {parent for name in masks for parent in _parents(name)}
    emptied -= {parent for name in files for parent in _parents(name)}
    return tuple(folder for folder in folders if folder not in emptied)


def _parents(name: str) -> Iterator[str]:
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name


def _ignored(container: Container, masks: frozenset[str]) -> Iterator[Ignored]:
    hidden = [name for name in container.files if has_image_suffix(name) and is_hidden(name)]
    system = [name for name in hidden if any(map(is_system_name, name.split("/")))]
    own = [name for name in hidden if name not in {*system}]
    for what, names in (
        ("masks", sorted(masks)),
        ("hidden images", own),
        ("images in folders of the system", system),
    ):
        if names:
            yield Ignored(what, tuple(names))
