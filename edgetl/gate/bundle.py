"""A bundle as it was packaged: its folder, its manifest, and the artifacts it was made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from edgetl import __version__
from edgetl.errors import ConfigError, Problem, StoreError, first_of
from edgetl.facts.bundle import BundleManifest, Origin
from edgetl.runtime.bundle import MANIFEST_FILE
from edgetl.runtime.errors import COPY_AGAIN, BundleError
from edgetl.store.store import Artifact, Store
from edgetl.types import Facts, Split

if TYPE_CHECKING:  # the command line must not wait for numpy
    from edgetl.data.dataset import Dataset
    from edgetl.evaluation import Predictions

_PREDICTIONS_FILE = "predictions.npz"
_MOST_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Bundle:
    """A folder with a manifest."""

    folder: Path
    manifest: BundleManifest

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes as they were when the model was verified, in their order."""
        return tuple(row.label for row in self.manifest.accuracy.classes)

    def model_files(self) -> dict[str, str]:
        """Return digests of the model's file and of its weights if they are separate, by name."""
        return {name: self.manifest.files[name] for name in self.manifest.model_files}

    def size_bytes(self) -> int:
        """Return the size of the model."""
        return sum((self.folder / name).stat().st_size for name in self.model_files())

    def sources(self) -> Mapping[str, Path]:
        """Return every file that is copied to the device, by POSIX path."""
        names = (*self.manifest.files, MANIFEST_FILE)
        return {name: self.folder / name for name in names}


@dataclass(frozen=True, slots=True)
class Images:
    """The images that the model was tested on, and its predictions where it was made."""

    dataset: Dataset
    digest: str
    """Of their content, order and labels; predictions are compared only if it is the same."""
    predictions: Predictions


def open_bundle(folder: Path, target: str) -> Bundle:
    """Return the bundle in `folder`.

    Args:
        folder: As it was packaged; its files are not checked yet.
        target: The target that it must have been made for; empty for any.

    Raises:
        BundleError: If there is no bundle, or its manifest cannot be read or was written by another
            version of edgetl.
        ConfigError: If it was made for another target.
    """
    path = folder / MANIFEST_FILE
    try:
        manifest = BundleManifest.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise BundleError(
            f"{folder} is not a bundle: it has no {MANIFEST_FILE}",
            remedy="name the folder of a bundle, such as dist/host",
        ) from error
    except ValidationError as error:
        raise _unreadable(path, error) from error
    if target not in {"", manifest.target.name}:
        raise ConfigError(
            str(path),
            [
                Problem(
                    "target", f"the bundle was made for '{manifest.target.name}', not '{target}'"
                )
            ],
            remedy=f"name the bundle of '{target}', or give --target {manifest.target.name}",
        )
    return Bundle(folder, manifest)


def _unreadable(path: Path, error: ValidationError) -> BundleError:
    """Return why a manifest cannot be read: another edgetl wrote it, or it is damaged."""
    errors = error.errors()
    unknown = [
        ".".join(map(str, each["loc"])) for each in errors if each["type"] == "extra_forbidden"
    ]
    if unknown:
        keys = first_of([f"'{key}'" for key in unknown], _MOST_SHOWN)
        return BundleError(
            f"{path} was written by another version of edgetl than {__version__}, which does not "
            f"know {keys}",
            remedy="make the bundle again with this edgetl: edgetl run RECIPE",
        )
    place = ".".join(map(str, errors[0]["loc"])) or "the file"
    return BundleError(
        f"{path} cannot be read: {place}: {errors[0]['msg'].lower()}",
        remedy=COPY_AGAIN,
    )


def find_images(bundle: Bundle, store: Store) -> Images | None:
    """Return the test images of `bundle` from its store; None if `store` is not the one.

    Raises:
        StoreError: If the artifacts are there but damaged.
    """
    import numpy as np

    from edgetl.data.dataset import Dataset

    lineage = bundle.manifest.lineage
    data, verification = (_find(lineage.get(name), store) for name in ("dataset", "verification"))
    if data is None or verification is None:
        return None
    dataset = Dataset.open(data.folder)
    with np.load(verification.file(_PREDICTIONS_FILE), allow_pickle=False) as arrays:
        predictions = {name: arrays[name] for name in arrays.files}
    return Images(dataset, _digest(dataset), predictions)


def _find(origin: Origin | None, store: Store) -> Artifact | None:
    if origin is None:
        return None
    for folder, artifact in store.artifacts():
        if artifact is None or (folder.parent.name, folder.name) != (origin.stage, origin.key):
            continue
        if artifact.manifest.digest != origin.digest:
            return None
        damage = store.damage(artifact, store.memory.digest)
        if damage:
            raise StoreError(
                f"artifact '{artifact.manifest.label}' in {folder} is damaged: {damage}",
                remedy="run 'edgetl verify-store --repair', then the recipe again",
            )
        return artifact
    return None


def _digest(dataset: Dataset) -> str:
    from edgetl.hashing import digest_value

    split: Facts = {
        "classes": list(dataset.classes),
        "images": [[item.sha256, item.label] for item in dataset.items(Split.TEST)],
    }
    if dataset.has_boxes:
        split["objects"] = [
            [truth.boxes.tolist(), truth.labels.tolist(), truth.crowd.tolist()]
            for truth in dataset.truths(Split.TEST)
        ]
    return digest_value(split)
