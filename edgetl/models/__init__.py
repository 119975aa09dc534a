"""The contract of a model family, and how a trained model is saved in a folder.

Letters: N batch, C channels, H, W, F features, K classes. Nothing here imports a framework before a
model is built or read, so that a plan can look up names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from pydantic import Field, ValidationError, model_validator

from edgetl.config.recipe import InputTable
from edgetl.config.table import Table
from edgetl.errors import StoreError, UsageError
from edgetl.nn.edits import EDITS, SavedEdit
from edgetl.plugins import Slot

if TYPE_CHECKING:  # planning must not wait for numpy or torch
    from torch import Tensor, nn

    from edgetl.runtime.preprocess import Preprocess

MODEL_FILE = "model.safetensors"
SPEC_FILE = "model.json"
MODEL_FILES = (SPEC_FILE, MODEL_FILE)
"""What `save_model` writes."""
IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean of ImageNet per channel, for pixels in [0, 1]."""
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Standard deviation of ImageNet per channel, for pixels in [0, 1]."""

_REPAIR = "run 'edgetl verify-store --repair', then the recipe again"


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive layers of a network that are frozen, trained or cut as one."""

    name: str
    """Unique in its family; the last block is called ``head``."""
    modules: tuple[str, ...]
    """Names of its submodules."""


@dataclass(frozen=True, slots=True)
class PretrainedWeights:
    """Pretrained weights of a family, for width 1."""

    source: str
    """Their source: an address, or a name in the package that provides them."""
    licence: str
    """SPDX identifier of the licence they are published under."""


class Family(Protocol):
    """A kind of network: how it is built, which blocks it has, and where its weights are.

    Its name is that of its file, which imports no framework; its methods do. So a plan can read its
    attributes. Members for one task only are in `ClassifierFamily` and `DetectorFamily`.
    """

    @property
    def version(self) -> int:
        """Raised when the same arguments of `build` give a different network than before."""

    @property
    def task(self) -> str:
        """Name of the task of its networks."""

    @property
    def min_size(self) -> int:
        """Smallest height and width of the input, pixels."""

    @property
    def size_multiple(self) -> int:
        """Height and width of the input are multiples of it; 1 if any size will do."""

    @property
    def min_classes(self) -> int:
        """Smallest number of classes that its networks support."""

    @property
    def mean(self) -> tuple[float, float, float]:
        """Per channel, RGB, for pixels in [0, 1]; as the pretrained weights expect."""

    @property
    def std(self) -> tuple[float, float, float]:
        """Per channel, RGB, for pixels in [0, 1]."""

    @property
    def has_widths(self) -> bool:
        """Whether networks of widths other than 1 exist."""

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The parts of a network from stem to head, ordered by when their outputs are complete.

        Together they contain every parameter exactly once. The last one is or contains the head.
        """

    @property
    def head(self) -> str:
        """Name of the submodule that is trained when only the head is trained."""

    @property
    def reinitialized(self) -> tuple[str, ...]:
        """Names of the modules to reinitialize for other classes: their shape depends on K."""

    @property
    def pretrained(self) -> Mapping[str, PretrainedWeights]:
        """Pretrained weights that `fetch` returns, by name."""

    @property
    def key_mapping(self) -> Mapping[str, str]:
        """Key mapping of another layout: prefix of its tensor names to prefix of ours."""

    def build(self, *, width: float, num_classes: int, seed: int) -> nn.Module:
        """Return a network with random weights drawn from `seed`, in training mode.

        It takes float32 `(N, 3, H, W)`, RGB, normalised. Names and shapes of its tensors are those
        of the pretrained weights. The caller's random state is not changed. `torch.fx` can trace
        the network: no control flow depends on values.
        """

    def decoded(self, network: nn.Module, size: int) -> nn.Module:
        """Return `network` with the outputs of the model contract instead of its raw ones.

        Args:
            network: Of this family; wrapped or returned unchanged, not copied.
            size: Height and width of the input, pixels.
        """

    def fetch(self, name: str) -> Mapping[str, Tensor]:
        """Return the pretrained weights `name`, from the local cache or the network.

        Raises:
            KeyError: If `pretrained` has no such name.
            OSError: If they are not in the cache and cannot be fetched.
            RuntimeError: If the fetched file has the wrong hash.
        """


@runtime_checkable
class ClassifierFamily(Family, Protocol):
    """A family of networks that return logits `(N, K)`; the head is an `nn.Linear` from F to K."""

    def features(self, module: nn.Module, images: Tensor) -> Tensor:
        """Return the input of the head, `(N, F)`; deterministic in evaluation mode."""


@runtime_checkable
class DetectorFamily(Family, Protocol):
    """A family of networks whose outputs are the `RawDetections` of `edgetl.nn.yolox`."""

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels of the input per location of each predicted map, in the order of the maps."""

    @property
    def feature_layers(self) -> tuple[str, ...]:
        """Names of the feature layers for distillation: the last ones of stride 8, 16, 32."""


@runtime_checkable
class TokensFamily(Family, Protocol):
    """A family of networks that take one or several rows of token ids, each ``(N, L)``.

    Nothing is normalised; mean, std and the size of an image are not used.
    """

    @property
    def token_length(self) -> int:
        """Number L of token ids of every input."""


FAMILIES: Slot[Family] = Slot("edgetl.models", "FAMILY", "model family", "edgetl.families")


def as_classifier(family: Family) -> ClassifierFamily:
    """Return `family` as a family of classifiers.

    Raises:
        TypeError: If it is not.
    """
    if not isinstance(family, ClassifierFamily):
        raise TypeError(f"a family for {family.task} has no features for a linear head")
    return family


def as_detector(family: Family) -> DetectorFamily:
    """Return `family` as a family of detectors.

    Raises:
        TypeError: If it is not.
    """
    if not isinstance(family, DetectorFamily):
        raise TypeError(f"a family for {family.task} predicts no maps of boxes")
    return family


class ModelSpec(Table):
    """How to rebuild a trained model and prepare its inputs: the content of `model.json`."""

    schema_version: Literal[2] = 2
    task: str
    family: str
    family_version: int
    width: float = Field(gt=0.0)
    classes: tuple[str, ...] = Field(min_length=1)
    """Names of the K classes, in the order of the outputs."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    input: InputTable
    """Size of the input, and how images are fitted to it."""
    edits: tuple[SavedEdit, ...] = ()
    """Structural edits of the network that the family builds, in the order of application."""

    @classmethod
    def of(
        cls, family: str, *, width: float, classes: tuple[str, ...], image_input: InputTable
    ) -> ModelSpec:
        """Return the spec of a network as the installed family `family` builds it."""
        facts = FAMILIES.load(family)
        return cls(
            task=facts.task,
            family=family,
            family_version=facts.version,
            width=width,
            classes=classes,
            mean=facts.mean,
            std=facts.std,
            input=image_input,
        )

    @model_validator(mode="after")
    def _has_enough_classes(self) -> ModelSpec:
        least = FAMILIES.load(self.family).min_classes
        if len(self.classes) < least:
            raise ValueError(
                f"a model of family '{self.family}' needs at least {least} classes, not "
                f"{len(self.classes)}"
            )
        return self

    @property
    def preprocess(self) -> Preprocess:
        """The same as `input`, in the form of the runtime."""
        from edgetl.runtime.preprocess import Preprocess

        table = self.input
        return Preprocess(
            table.size, table.size, table.fit, table.filter, table.pad, anchor=table.anchor
        )


def save_model(folder: Path, spec: ModelSpec, module: nn.Module) -> None:
    """Write `model.json` and `model.safetensors`; equal weights give equal bytes."""
    from safetensors.torch import save_file

    tensors = {name: value.cpu().contiguous() for name, value in module.state_dict().items()}
    save_file(tensors, folder / MODEL_FILE)
    text = spec.model_dump_json(indent=2) + "\n"
    (folder / SPEC_FILE).write_text(text, encoding="utf-8")


def read_spec(folder: Path, *, repair: str = _REPAIR) -> ModelSpec:
    """Return the spec that `save_model` wrote, without the network.

    Args:
        folder: The folder of the model.
        repair: The remedy if the file cannot be read.

    Raises:
        StoreError: If the file is missing or damaged, or the family is not installed.
    """
    try:
        return ModelSpec.model_validate_json((folder / SPEC_FILE).read_bytes())
    except (OSError, ValidationError, UsageError) as error:
        raise _unreadable(folder, error, repair) from error


def check_versions(folder: Path, spec: ModelSpec) -> None:
    """Check that the network of a saved model is built here as it was where it was saved.

    Args:
        folder: The folder of the model, for the error.
        spec: The spec of the model.

    Raises:
        StoreError: If family or edits are not installed in the version that the model was saved
            with.
    """
    family = FAMILIES.load(spec.family)
    _check_version(folder, f"family '{spec.family}'", spec.family_version, family.version)
    for saved in spec.edits:
        try:
            edit = EDITS.load(saved.kind)
        except UsageError as error:
            raise _unreadable(folder, error, _REPAIR) from error
        _check_version(folder, f"structural edit '{saved.kind}'", saved.version, edit.version)


def load_model(folder: Path, *, repair: str = _REPAIR) -> tuple[ModelSpec, nn.Module]:
    """Return the model that `save_model` wrote, on the CPU, in evaluation mode.

    The spec alone determines how the network is built: by its family, then by its edits in order.

    Args:
        folder: The folder of the model.
        repair: The remedy if the files cannot be read.

    Raises:
        StoreError: If the files are missing, damaged, or contradict each other, or if family or
            edits are not installed in the version that the model was saved with.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    spec = read_spec(folder, repair=repair)
    check_versions(folder, spec)
    try:
        tensors = load_file(folder / MODEL_FILE)
        module = _rebuilt(spec)
        module.load_state_dict(tensors)
    except (OSError, ValidationError, SafetensorError, RuntimeError) as error:
        raise _unreadable(folder, error, repair) from error
    return spec, module.eval()


def _rebuilt(spec: ModelSpec) -> nn.Module:
    family = FAMILIES.load(spec.family)
    module = family.build(width=spec.width, num_classes=len(spec.classes), seed=0)
    for saved in spec.edits:
        edit = EDITS.load(saved.kind)
        module = edit.apply(module, edit.options.model_validate(saved.options))
    return module


def _check_version(folder: Path, what: str, saved: int, installed: int) -> None:
    if saved != installed:
        raise StoreError(
            f"{folder} contains a model saved with version {saved} of {what}, but version "
            f"{installed} is installed",
            remedy="run the recipe again to remake it, or install the version that it was "
            "saved with",
        )


def deployable(spec: ModelSpec, module: nn.Module) -> nn.Module:
    """Return the network as it is exported: raw inputs in, decoded outputs, in evaluation mode.

    Args:
        spec: Of the module.
        module: As `build` and `load_model` return it; copied, not changed.

    Returns:
        A module that takes `(N, H, W, 3)`, float32, RGB in 0..255, or the token ids of a
        `TokensFamily`, and gives logits `(N, K)`, or boxes `(N, M, 4)`, xyxy in 0..1 of the input,
        and scores `(N, M, K)` in 0..1.
    """
    import copy

    from edgetl.nn.folding import fold_focus, fold_norms
    from edgetl.nn.layers import RawPixels

    size, family = spec.input.size, FAMILIES.load(spec.family)
    network = family.decoded(copy.deepcopy(module).eval(), size)
    fold_focus(network)
    fold_norms(network)
    if isinstance(family, TokensFamily):
        return network.eval()
    return RawPixels(network, spec.mean, spec.std, row=size).eval()


def _unreadable(folder: Path, error: Exception, repair: str) -> StoreError:
    if isinstance(error, UsageError):
        return StoreError(
            f"{folder} contains a model that cannot be rebuilt here: {error.message}",
            remedy=f"install the package that provides it; {error.remedy}",
        )
    reason = str(error).partition("\n")[0]
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        parts = (SPEC_FILE, ".".join(map(str, first["loc"])), first["msg"])
        reason = ": ".join(filter(None, parts))
        if first["type"] == "literal_error":
            reason += f", not {first['input']!r}"
    return StoreError(f"{folder} contains no readable model: {reason}", remedy=repair)
