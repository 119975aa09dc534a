"""Fit the images of a dataset to one network input: decoded once, memory-mapped afterwards.

Pixels are read from the source again, because an index holds none. A view depends on the index (its
digest covers the content of every image) and the input; an image that changed since it was indexed
is refused, so that a view never mixes two states of the data.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from edgetl.config.recipe import InputTable, SyntheticData
from edgetl.config.table import Table
from edgetl.data.image_sets import Images, open_images
from edgetl.data.prefetch import prefetched
from edgetl.errors import DataError
from edgetl.facts.dataset import ViewFacts
from edgetl.runtime.errors import ImageError
from edgetl.stages import Cores, Job, Node, NoOptions, Planned, Stage, Workspace
from edgetl.stages._image_reading import counted, prefetch_depth, reading_pool
from edgetl.stages._space import check_disk, view_bytes
from edgetl.stages._unseen_boxes import unseen_boxes
from edgetl.stages._views import inputs_of, preprocess_of
from edgetl.stages.index import Settings as IndexSettings
from edgetl.store.store import Artifact
from edgetl.tasks import TASKS
from edgetl.types import MIB, Role, Split

if TYPE_CHECKING:  # planning must not wait for numpy
    import numpy as np
    from numpy.typing import NDArray

    from edgetl.data.dataset import DatasetIndex
    from edgetl.runtime.preprocess import Preprocess


class Settings(Table):
    """What a view depends on in addition to the index."""

    role: Role
    input: InputTable
    task: str = Field(exclude=True)
    """Of the index, which is in the key."""
    path: Path | None = Field(exclude=True)
    """Where the images are; the index holds their digests. None for synthetic images."""
    synthetic: SyntheticData | None = Field(exclude=True)
    exclude: tuple[str, ...] = Field(exclude=True)

    def preprocess(self) -> Preprocess:
        """Return how images become inputs."""
        return preprocess_of(self.input)


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    inputs = inputs_of(job)
    return [
        _node(index, index.settings, image_input, of_several=len(inputs) > 1)
        for index in made["dataset"]
        if isinstance(index.settings, IndexSettings)
        for image_input in inputs
    ]


def _node(
    index: Node, indexed: IndexSettings, image_input: InputTable, *, of_several: bool
) -> Node:
    label = index.label.replace("index", "view", 1)
    if of_several:
        label = f"{label} {image_input.size} {image_input.fit}"
    settings = Settings(
        role=indexed.role,
        input=image_input,
        task=indexed.task,
        path=indexed.path,
        synthetic=indexed.synthetic,
        exclude=indexed.exclude,
    )
    return Node("view", label, settings, {"index": index})


def _run(settings: Settings, inputs: Mapping[str, Artifact], work: Workspace) -> ViewFacts:
    from edgetl.data.dataset import INDEX_FILES, DatasetIndex, write_view

    source = inputs["index"].folder
    index = DatasetIndex.read(source)
    num_images = sum(len(items) for items in index.items.values())
    check_disk(work.out, settings.input, num_images)
    preprocess = settings.preprocess()
    facts = ViewFacts(
        role=settings.role,
        input=settings.input,
        images=num_images,
        size_bytes=view_bytes(settings.input, num_images),
    )
    if index.has_boxes:
        unseen = unseen_boxes(index, preprocess, work.progress)
        boxes = {
            "boxes": sum(each.total for each in unseen.values()),
            "too_small": {split: each.too_small for split, each in unseen.items()},
            "cropped": {split: each.cropped for split, each in unseen.items()},
        }
        facts = facts.model_copy(update=boxes)
    _store(settings, index, preprocess, work)
    write_view(work.out, preprocess)
    for name in INDEX_FILES:
        shutil.copyfile(source / name, work.out / name)
    return facts


def _store(
    settings: Settings, index: DatasetIndex, preprocess: Preprocess, work: Workspace
) -> None:
    """Write `images.npy`.

    Raises:
        DataError: If an image changed since it was indexed.
    """
    from edgetl.data.dataset import IMAGES_FILE, write_images
    from edgetl.runtime.preprocess import fit_image

    rows = [
        (item.name, item.sha256, (int(height), int(width)))
        for split in Split
        for item, (height, width) in zip(index.items[split], index.image_sizes(split), strict=True)
    ]
    called = str(settings.path or "synthetic images")

    def decode(images: Images, row: tuple[str, str, tuple[int, int]]) -> NDArray[np.uint8]:
        name, content, size = row
        try:
            same = images.content(name) == content
            image = images.decode(name) if same else None
        except ImageError as error:
            raise DataError(error.message, remedy=error.remedy) from error
        if image is None or image.shape[:2] != size:
            raise DataError(
                f"'{name}' in '{called}' changed after it was indexed", remedy="run again"
            )
        return fit_image(image, preprocess)

    task = TASKS.load(settings.task).data
    with (
        open_images(
            settings.path, settings.synthetic, settings.exclude, task, role=settings.role
        ) as images,
        reading_pool() as pool,
        (work.out / IMAGES_FILE).open("wb") as file,
    ):
        fitted: Iterator[NDArray[np.uint8]] = prefetched(
            lambda row: decode(images, row), rows, pool, depth=prefetch_depth()
        )
        shape = (len(rows), preprocess.height, preprocess.width, 3)
        write_images(file, counted(fitted, len(rows), work.progress, "images decoded"), shape)


def _summary(facts: ViewFacts) -> str:
    """Return for example ``2,140 images at 96 px, stretch, 56.4 MiB``."""
    text = f"{facts.images:,} images at {facts.input.size} px, {facts.input.fit}"
    text += f", {facts.size_bytes / MIB:.1f} MiB"
    too_small = sum(facts.too_small.values())
    if too_small:
        text += f"; {too_small:,} of {facts.boxes:,} boxes too small to be learnt"
    return text


def _tools(settings: Settings) -> tuple[str, ...]:
    del settings
    return ("numpy", "pillow")


def _plugins(settings: Settings, inputs: Mapping[str, Artifact]) -> dict[str, str]:
    del inputs
    return TASKS.stamp(settings.task)


STAGE = Stage(
    name="view",
    version=2,
    needs=("dataset",),
    makes="view",
    options=NoOptions,
    plan=_plan,
    tools=_tools,
    facts=ViewFacts,
    run=_run,
    summary=_summary,
    plugins=_plugins,
    cores=Cores.ALL,
)
