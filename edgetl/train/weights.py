"""The weights a training starts from, and the account of what came from where."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from edgetl.errors import EdgetlError, ExitCode
from edgetl.hashing import digest_file
from edgetl.models import FAMILIES, Family
from edgetl.train.options import IMAGENET, NO_WEIGHTS, NetworkSettings
from edgetl.types import Facts

MIN_BACKBONE_SHARE = 0.9
"""With less of the backbone than this, the file was not made for this network."""

_SHOWN = 3
_WRAPPERS = ("model", "state_dict")
_PARALLEL = "module."
"""What `nn.DataParallel` puts before every name."""


# What torch 2.14 raises on empty, torn and foreign files, the old format without a zip included.
_UNREADABLE = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    struct.error,
    pickle.UnpicklingError,
    SafetensorError,
)


class WeightsError(EdgetlError):
    """The weights that were asked for cannot be had or do not fit the network."""

    exit_code = ExitCode.CONFIG


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What became of the tensors of a weights file and of those of the network."""

    source: str
    """`imagenet`, `file` or `none`."""
    loaded: tuple[str, ...]
    skipped: tuple[str, ...]
    """Tensors of the file that were not used, each with the reason."""
    initialised: tuple[str, ...]
    """Tensors of the network that start at random."""
    backbone_share: float
    """Share of the backbone that was loaded: of its tensors or of its values, the smaller one."""

    def facts(self) -> Facts:
        """Return the report for a manifest; names only where something is not as expected."""
        facts: Facts = {"source": self.source, "loaded": len(self.loaded)}
        if self.loaded:
            facts |= {
                "skipped": list(self.skipped),
                "initialised": list(self.initialised),
                "backbone_share": round(self.backbone_share, 4),
            }
        return facts

    def sentence(self) -> str:
        """Return the report in one line."""
        if not self.loaded:
            return "all weights start at random"
        words = f"{len(self.loaded)} tensors loaded ({self.source})"
        if self.skipped:
            words += f", {len(self.skipped)} skipped: {_some(self.skipped)}"
        if self.initialised:
            words += f"; at random: {_some(self.initialised)}"
        return words


def build_network(
    settings: NetworkSettings, num_classes: int
) -> tuple[Family, nn.Module, LoadReport]:
    """Return the family, the network with its starting weights, and what was loaded.

    The head starts at random unless the weights have one for as many classes.

    Raises:
        WeightsError: If the weights cannot be fetched or read, changed since the plan, hold values
            that are not finite, or match too little of the backbone.
    """
    family = FAMILIES.load(settings.family)
    module = family.build(width=settings.width, num_classes=num_classes, seed=settings.seed)
    if settings.weights == NO_WEIGHTS:
        return family, module, LoadReport(NO_WEIGHTS, (), (), tuple(module.state_dict()), 0.0)
    if settings.weights == IMAGENET:
        return family, module, load_into(module, _fetch(settings.family), family.head, IMAGENET)
    path = Path(settings.weights_file)
    if digest_file(path) != settings.weights:
        raise WeightsError(f"{path} was changed after the run began", remedy="run the recipe again")
    try:
        report = load_into(module, read_weights(path), family.head, "file")
    except WeightsError as error:
        raise WeightsError(f"{path}: {error.message}", remedy=error.remedy) from error
    return family, module, report


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors in a .safetensors file, or in a .pth / .pt file of tensors, by name.

    The wrappers `{"model": ...}` and `{"state_dict": ...}` and the prefix `module.` of parallel
    training are taken off. Code in pickled files is never run.

    Raises:
        WeightsError: If the file is torn, or holds something else than tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        if "Unsupported global" in str(error):
            raise WeightsError(
                "holds Python objects, which could run any code when they are read",
                remedy="save the tensors alone: torch.save(model.state_dict(), FILE)",
            ) from error
        # torch explains its safe mode at length; the reason itself is in the chained error.
        reason = str(error.__context__ or error).partition("\n")[0] or type(error).__name__
        raise WeightsError(
            f"cannot be read as weights: {reason}",
            remedy="get the file again; .pth, .pt and .safetensors are read",
        ) from error
    return _unwrap(content)


def load_into(
    module: nn.Module, tensors: Mapping[str, Tensor], head: str, source: str
) -> LoadReport:
    """Copy every tensor that fits into `module` and report the rest.

    Args:
        module: Changed in place; untouched if an error is raised.
        tensors: By the names of the module's own state.
        head: Name of the last layer, which may differ in its number of classes.
        source: What the report calls the origin.

    Raises:
        WeightsError: If a value is not finite, or less than `MIN_BACKBONE_SHARE` of the backbone
            would be loaded.
    """
    own = module.state_dict()
    fitting = {
        name: value
        for name, value in tensors.items()
        if name in own and own[name].shape == value.shape
    }
    skipped = tuple(
        f"{name}: shape {list(value.shape)}, the network has {list(own[name].shape)}"
        if name in own
        else f"{name}: not in the network"
        for name, value in sorted(tensors.items())
        if name not in fitting
    )
    broken = sorted(name for name, value in fitting.items() if not bool(value.isfinite().all()))
    if broken:
        raise WeightsError(
            f"{len(broken)} tensors hold values that are not finite: {_some(broken)}",
            remedy="use a checkpoint from before the training diverged",
        )
    share = _backbone_share(own, fitting, head)
    if share < MIN_BACKBONE_SHARE:
        missing = sorted(name for name in own if name not in fitting)
        raise WeightsError(
            f"only {share:.1%} of the backbone matches, at least {MIN_BACKBONE_SHARE:.0%} must; "
            f"not found: {_some(missing)}; not used: {_some(skipped) or 'nothing'}",
            remedy="use weights of the same family and width, with torchvision's names",
        )
    module.load_state_dict(fitting, strict=False)
    initialised = tuple(name for name in own if name not in fitting and _is_learned(name))
    return LoadReport(source, tuple(fitting), skipped, initialised, share)


def _fetch(family: str) -> dict[str, Tensor]:
    try:
        return FAMILIES.load(family).imagenet()
    except (OSError, RuntimeError) as error:
        raise WeightsError(
            f"the ImageNet weights of '{family}' cannot be fetched: {error}",
            remedy="give a local file instead (`weights: FILE.pth` or `FILE.safetensors`), or run "
            "again with a network connection",
        ) from error


def _unwrap(content: object) -> dict[str, Tensor]:
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    ):
        found = type(content).__name__
        raise WeightsError(
            f"holds a {found}, not tensors by name, also not under {' or '.join(_WRAPPERS)}",
            remedy="save the tensors alone: torch.save(model.state_dict(), FILE)",
        )
    return {name.removeprefix(_PARALLEL): value for name, value in content.items()}


def _backbone_share(own: Mapping[str, Tensor], fitting: Mapping[str, Tensor], head: str) -> float:
    # Batch normalisation statistics are few values but many tensors, wide layers the other way
    # round: either kind missing makes the features useless.
    backbone = {
        name: value
        for name, value in own.items()
        if not name.startswith(f"{head}.") and _is_learned(name)
    }
    found = [name for name in backbone if name in fitting]
    tensors = len(found) / len(backbone)
    values = sum(backbone[name].numel() for name in found) / sum(
        value.numel() for value in backbone.values()
    )
    return min(tensors, values)


def _is_learned(name: str) -> bool:
    # A counter of batches, which many files leave out and nothing here reads.
    return not name.endswith("num_batches_tracked")


def _some(names: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
