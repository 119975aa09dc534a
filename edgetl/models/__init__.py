"""The contract of a model family, and how a trained model is kept in a folder.

Letters: N batch, C channels, H, W, F features, K classes. Nothing here imports a framework before a
model is built or read, so that a plan can ask for names.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pydantic import Field, ValidationError

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

_REPAIR = "run 'edgetl verify-store --repair', then the recipe again"


class Family(Protocol):
    """A kind of network: how it is built, cut into backbone and head, and where its weights are."""

    @property
    def min_size(self) -> int:
        """Smallest height and width of the input, pixels."""

    @property
    def mean(self) -> tuple[float, float, float]:
        """Per channel, RGB, for pixels in [0, 1]; what the pretrained weights expect."""

    @property
    def std(self) -> tuple[float, float, float]:
        """Per channel, RGB, for pixels in [0, 1]."""

    @property
    def head(self) -> str:
        """Name of the last layer, an `nn.Linear` from F features to K classes."""

    @property
    def taps(self) -> tuple[str, ...]:
        """Names of the submodules to distil features from: the last ones of stride 8, 16, 32."""

    def build(self, *, width: float, num_classes: int, seed: int) -> nn.Module:
        """Return a network with random weights drawn from `seed`, in training mode.

        It takes float32 `(N, 3, H, W)`, normalised, and gives logits `(N, K)`. Names and shapes of
        its tensors are those of the published weights. The caller's random state is left as it was.
        """

    def features(self, module: nn.Module, images: Tensor) -> Tensor:
        """Return what the head of `module` sees, `(N, F)`; evaluation mode draws nothing."""

    def imagenet(self) -> dict[str, Tensor]:
        """Return the published ImageNet weights of width 1.0, from the local cache or the network.

        Raises:
            OSError: If they are not in the cache and cannot be fetched.
            RuntimeError: If what was fetched does not have the published hash.
        """


FAMILIES: Slot[Family] = Slot("edgetl.models", "FAMILY", "model family", {})


class ModelSpec(Table):
    """What is needed to build a trained model again and to feed it: the content of `model.json`."""

    schema_version: int = 1
    task: Task
    family: str
    width: float = Field(gt=0.0)
    classes: tuple[str, ...] = Field(min_length=2)
    """Names of the K classes, in the order of the logits."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    input: InputTable
    """How a photo becomes the pixels of the input, and their number."""

    @property
    def preprocess(self) -> Preprocess:
        """The same as `input`, as the runtime takes it."""
        from edgetl.runtime.preprocess import Preprocess

        size = self.input.size
        return Preprocess(size, size, self.input.fit, self.input.filter, self.input.pad)


def save_model(folder: Path, spec: ModelSpec, module: nn.Module) -> None:
    """Write `model.json` and `model.safetensors`; equal weights give equal bytes."""
    from safetensors.torch import save_file

    tensors = {name: value.cpu().contiguous() for name, value in module.state_dict().items()}
    save_file(tensors, folder / MODEL_FILE)
    text = spec.model_dump_json(indent=2) + "\n"
    (folder / SPEC_FILE).write_text(text, encoding="utf-8")


def load_model(folder: Path) -> tuple[ModelSpec, nn.Module]:
    """Return what `save_model` wrote; the module is on the CPU, in evaluation mode.

    Raises:
        StoreError: If the files are missing, torn, or do not belong together.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        spec = ModelSpec.model_validate_json((folder / SPEC_FILE).read_bytes())
        tensors = load_file(folder / MODEL_FILE)
        module = FAMILIES.load(spec.family).build(
            width=spec.width, num_classes=len(spec.classes), seed=0
        )
        module.load_state_dict(tensors)
    except (OSError, ValidationError, SafetensorError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise StoreError(f"{folder} holds no readable model: {reason}", remedy=_REPAIR) from error
    return spec, module.eval()
