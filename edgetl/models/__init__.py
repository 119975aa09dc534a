"""The contract of a model family, and how a trained model is kept in a folder.

Letters: N batch, C channels, H, W, F features, K classes. Nothing here imports a framework before a
model is built or read, so that a plan can ask for names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pydantic import Field, ValidationError, model_validator

from edgetl.config.recipe import InputTable
from edgetl.config.table import Table
from edgetl.errors import StoreError
from edgetl.plugins import Slot
from edgetl.types import Task

if TYPE_CHECKING:  # planning must not wait for numpy, nor for torch
    from torch import Tensor, nn

    from edgetl.runtime.preprocess import Preprocess

MODEL_FILE = "model.safetensors"
SPEC_FILE = "model.json"

_LEAST_CHOICE = 2
_REPAIR = "run 'edgetl verify-store --repair', then the recipe again"


class Family(Protocol):
    """A kind of network: how it is built, cut into backbone and head, and where its weights are.

    A family's file imports no framework; its methods do. So a plan can ask what a family is.
    """

    @property
    def version(self) -> int:
        """Raised whenever the same options, weights and seed give another network than before."""

    @property
    def task(self) -> Task:
        """What its networks answer."""

    @property
    def min_size(self) -> int:
        """Smallest height and width of the input, pixels."""

    @property
    def strides(self) -> tuple[int, ...]:
        """Of the maps that a detector answers on; the input is a multiple of each. () otherwise."""

    @property
    def mean(self) -> tuple[float, float, float]:
        """Per channel, RGB, for pixels in [0, 1]; what the published weights expect."""

    @property
    def std(self) -> tuple[float, float, float]:
        """Per channel, RGB, for pixels in [0, 1]."""

    @property
    def head(self) -> str:
        """What a training of the head alone trains.

        Of a classifier the last layer, an `nn.Linear` from F features to K classes; of a detector
        the module that sees the maps of `feature_layers`.
        """

    @property
    def reinitialized(self) -> tuple[str, ...]:
        """Names of the modules that start anew for other classes: their shape depends on K."""

    @property
    def feature_layers(self) -> tuple[str, ...]:
        """Names of the submodules to distil features from: the last ones of stride 8, 16, 32."""

    @property
    def pretrained(self) -> Mapping[str, str]:
        """Names of weights that can be fetched, for width 1.0, and where each comes from."""

    @property
    def key_mapping(self) -> Mapping[str, str]:
        """Where the tensors of another layout belong: prefix of their names to prefix of ours."""

    def build(self, *, width: float, num_classes: int, seed: int) -> nn.Module:
        """Return a network with random weights drawn from `seed`, in training mode.

        It takes float32 `(N, 3, H, W)`, RGB, normalised, and gives logits `(N, K)` or the
        `RawDetections` of `edgetl.nn.yolox`. Names and shapes of its tensors are those of the
        published weights. The caller's random state is left as it was.
        """

    def features(self, module: nn.Module, images: Tensor) -> Tensor:
        """Return what the head of a classifier sees, `(N, F)`; evaluation mode draws nothing.

        Raises:
            ValueError: If the family is a detector, whose head sees maps.
        """

    def fetch(self, name: str) -> Mapping[str, Tensor]:
        """Return the published weights `name`, from the local cache or the network.

        Raises:
            KeyError: If `pretrained` has no such name.
            OSError: If they are not in the cache and cannot be fetched.
            RuntimeError: If what was fetched is not what was published.
        """


FAMILIES: Slot[Family] = Slot("edgetl.models", "FAMILY", "model family", "edgetl.families")


class ModelSpec(Table):
    """What is needed to build a trained model again and to feed it: the content of `model.json`."""

    schema_version: int = 1
    task: Task
    family: str
    width: float = Field(gt=0.0)
    classes: tuple[str, ...] = Field(min_length=1)
    """Names of the K classes, in the order of the logits; a classifier has at least two."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    input: InputTable
    """How an image becomes the pixels of the input, and their number."""

    @model_validator(mode="after")
    def _has_a_choice(self) -> ModelSpec:
        if self.task is Task.CLASSIFICATION and len(self.classes) < _LEAST_CHOICE:
            raise ValueError(f"a classifier needs two classes or more, not {len(self.classes)}")
        return self

    @property
    def preprocess(self) -> Preprocess:
        """The same as `input`, as the runtime takes it."""
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


def read_spec(folder: Path) -> ModelSpec:
    """Return the spec that `save_model` wrote, without the network.

    Raises:
        StoreError: If the file is missing or torn.
    """
    try:
        return ModelSpec.model_validate_json((folder / SPEC_FILE).read_bytes())
    except (OSError, ValidationError) as error:
        raise _unreadable(folder, error) from error


def load_model(folder: Path) -> tuple[ModelSpec, nn.Module]:
    """Return what `save_model` wrote; the module is on the CPU, in evaluation mode.

    Raises:
        StoreError: If the files are missing, torn, or do not belong together.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    spec = read_spec(folder)
    try:
        tensors = load_file(folder / MODEL_FILE)
        module = FAMILIES.load(spec.family).build(
            width=spec.width, num_classes=len(spec.classes), seed=0
        )
        module.load_state_dict(tensors)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise _unreadable(folder, error) from error
    return spec, module.eval()


def deployable(spec: ModelSpec, module: nn.Module) -> nn.Module:
    """Return the network as it is exported: raw pixels in, answers out, in evaluation mode.

    Args:
        spec: What the module is and how it is fed.
        module: As `build` and `load_model` return it; copied, not changed.

    Returns:
        A module that takes `(N, H, W, 3)`, float32, RGB in 0..255, and gives logits `(N, K)`, or
        boxes `(N, M, 4)`, xyxy in 0..1 of the input, and scores `(N, M, K)` in 0..1.
    """
    import copy

    from edgetl.nn.detector import DecodedDetector
    from edgetl.nn.folding import fold_focus, fold_norms
    from edgetl.nn.layers import RawPixels

    network = copy.deepcopy(module).eval()
    strides, size = FAMILIES.load(spec.family).strides, spec.input.size
    if strides:
        fold_focus(network)
        network = DecodedDetector(network, height=size, width=size, strides=strides)
    fold_norms(network)
    return RawPixels(network, spec.mean, spec.std, row=size).eval()


def _unreadable(folder: Path, error: Exception) -> StoreError:
    reason = str(error).partition("\n")[0]
    return StoreError(f"{folder} holds no readable model: {reason}", remedy=_REPAIR)
