"""The weights that a training starts from, and a report of what was loaded."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from edgetl.errors import EdgetlError, ExitCode
from edgetl.facts.training import WeightsFacts
from edgetl.hashing import digest_file
from edgetl.models import FAMILIES, Family
from edgetl.train.options import NO_WEIGHTS, NetworkSettings

MIN_BACKBONE_SHARE = 0.9
"""If less of the backbone matches, the file was not made for this network."""

_WIDTHS = (1.0, 0.75, 0.5, 0.35, 0.25)
"""Widths that a file is compared with, to report what it was made for."""

_SHOWN = 3
_WRAPPERS = ("model", "state_dict")
_PARALLEL = "module."
"""Prefix that `nn.DataParallel` adds to every name."""


# What torch 2.14 raises on empty, truncated and foreign files, and for the old format without zip.
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
    """The requested weights are not available or do not fit the network."""

    exit_code = ExitCode.CONFIG


@dataclass(frozen=True, slots=True)
class LoadReport:
    """Which tensors of a weights file were loaded, and which tensors of the network were not."""

    source: str
    """Name of pretrained weights of the family, `file` or `none`."""
    loaded: tuple[str, ...]
    skipped: tuple[str, ...]
    """Tensors of the file that were not used, each with the reason."""
    initialised: tuple[str, ...]
    """Other tensors of the network that start at random, or modules if all of their tensors do."""
    backbone_share: float
    """Loaded share of the backbone: of its tensors or of its values, whichever is smaller."""
    reinitialized: tuple[str, ...] = ()
    """Modules that start at random because the file has another number of classes, each with both
    numbers."""

    def facts(self) -> WeightsFacts:
        """Return the report for a manifest; tensors are named only if something is unexpected."""
        if not self.loaded:
            return WeightsFacts(source=self.source, loaded=0)
        return WeightsFacts(
            source=self.source,
            loaded=len(self.loaded),
            skipped=self.skipped,
            initialised=self.initialised,
            backbone_share=round(self.backbone_share, 4),
            reinitialized=self.reinitialized,
        )

    def sentence(self) -> str:
        """Return the report in one line."""
        if not self.loaded:
            return "all weights start at random"
        words = f"{len(self.loaded)} tensors loaded ({self.source})"
        if self.reinitialized:
            words += f"; new {', '.join(self.reinitialized)}"
        if self.skipped:
            words += f"; {len(self.skipped)} skipped: {_some(self.skipped)}"
        if self.initialised:
            words += f"; at random: {_some(self.initialised)}"
        return words


def build_network(
    settings: NetworkSettings, num_classes: int
) -> tuple[Family, nn.Module, LoadReport]:
    """Return the family, the network with its starting weights, and what was loaded.

    Modules that depend on the classes start at random unless the weights are for the same number.

    Raises:
        WeightsError: If the weights cannot be fetched or read, changed since the plan, have values
            that are not finite, or do not fit the network.
    """
    family = FAMILIES.load(settings.family)
    module = family.build(width=settings.width, num_classes=num_classes, seed=settings.seed)
    if settings.weights == NO_WEIGHTS:
        return family, module, LoadReport(NO_WEIGHTS, (), (), (), 0.0)
    if settings.weights in family.pretrained:
        tensors = _fetch(settings.family, settings.weights)
        return family, module, load_into(module, tensors, family, settings.weights)
    path = Path(settings.weights_file)
    if digest_file(path) != settings.weights:
        raise WeightsError(f"{path} was changed after the run began", remedy="run the recipe again")
    try:
        report = load_into(module, read_weights(path), family, "file")
    except WeightsError as error:
        raise WeightsError(f"{path}: {error.message}", remedy=error.remedy) from error
    return family, module, report


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors in a .safetensors file, or in a .pth / .pt file of tensors, by name.

    The wrappers `{"model": ...}` and `{"state_dict": ...}` and the prefix `module.` of parallel
    training are removed. Code in pickled files is never run.

    Raises:
        WeightsError: If the file is truncated, or contains anything but tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        if "Unsupported global" in str(error):
            raise WeightsError(
                "contains Python objects, which could run any code when they are read",
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
    module: nn.Module, tensors: Mapping[str, Tensor], family: Family, source: str
) -> LoadReport:
    """Copy every tensor that fits into `module` and report the rest.

    Args:
        module: Of `family`; changed in place, untouched if an error is raised.
        tensors: By the names of the module's own state, or of a layout that the family maps.
        family: Defines the backbone, and the modules whose number of classes may differ.
        source: The origin, for the report.

    Raises:
        WeightsError: If a value is not finite, or too little fits: less than `MIN_BACKBONE_SHARE`
            of the backbone; or, if the file is of a whole network whose head depends on the classes
            only in part, not all of the rest.
    """
    own = module.state_dict()
    places = _places(tensors, family, own)
    is_own_layout = all(name == at for name, at in places.items())
    is_whole = is_own_layout and family.head not in family.reinitialized
    fitting = {
        at: tensors[name]
        for name, at in places.items()
        if at in own and own[at].shape == tensors[name].shape
    }
    broken = sorted(name for name, value in fitting.items() if not bool(value.isfinite().all()))
    if broken:
        raise WeightsError(
            f"{len(broken)} tensors have values that are not finite: {_some(broken)}",
            remedy="use a checkpoint from before the training diverged",
        )
    reinitialized = {
        at: (len(own[at]), len(tensors[name]))
        for name, at in places.items()
        if at in own and at not in fitting and _is_below(at, family.reinitialized)
    }
    skipped = tuple(
        f"{name}: shape {list(tensors[name].shape)}, the network has {list(own[at].shape)}"
        if at in own
        else f"{name}: not in the network"
        for name, at in sorted(places.items())
        if at not in fitting and at not in reinitialized and _is_learned(name)
    )
    learned = [name for name in own if _is_learned(name)]
    ours = ("",) if is_whole else tuple(family.key_mapping.values()) or ("",)
    required = [
        name
        for name in learned
        if name.startswith(ours) and not _is_below(name, family.reinitialized)
    ]
    share = _share(own, required, fitting)
    if share < (1.0 if is_whole else MIN_BACKBONE_SHARE):
        missing = [name for name in required if name not in fitting]
        raise _too_little(share, missing, skipped, tensors, is_whole=is_whole)
    module.load_state_dict(fitting, strict=False)
    return LoadReport(
        source,
        loaded=tuple(fitting),
        skipped=skipped,
        initialised=_modules(learned, {*learned} - {*fitting} - {*reinitialized}),
        backbone_share=share,
        reinitialized=_reinitialized(reinitialized, family.reinitialized),
    )


def _fetch(family: str, name: str) -> dict[str, Tensor]:
    try:
        return _unwrap(FAMILIES.load(family).fetch(name))
    except _UNREADABLE as error:
        raise WeightsError(
            f"the '{name}' weights of '{family}' cannot be fetched from "
            f"{FAMILIES.load(family).pretrained[name].source}: {error}",
            remedy="give a local file instead (`weights: FILE.pth` or `FILE.safetensors`), or run "
            "again with a network connection",
        ) from error


def _places(
    tensors: Mapping[str, Tensor], family: Family, own: Mapping[str, Tensor]
) -> dict[str, str]:
    """Return the name in the network for each name in a file."""
    if any(name in own for name in tensors):
        return {name: name for name in tensors}
    places = {}
    for name in tensors:
        prefix = next((known for known in family.key_mapping if name.startswith(known)), "")
        places[name] = family.key_mapping.get(prefix, "") + name.removeprefix(prefix)
    return places


def _unwrap(content: object) -> dict[str, Tensor]:
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    ):
        raise WeightsError(
            f"has no tensors by name, neither at the top (a {type(content).__name__}) nor under "
            f"{' or '.join(_WRAPPERS)}",
            remedy="save the tensors alone: torch.save(model.state_dict(), FILE)",
        )
    return {name.removeprefix(_PARALLEL): value for name, value in content.items()}


def _too_little(
    share: float,
    missing: Sequence[str],
    skipped: Sequence[str],
    tensors: Mapping[str, Tensor],
    *,
    is_whole: bool,
) -> WeightsError:
    part = "network without its class predictors" if is_whole else "backbone"
    least = 1.0 if is_whole else MIN_BACKBONE_SHARE
    return WeightsError(
        f"only {share:.1%} of the {part} matches, at least {least:.0%} must; "
        f"missing: {_some(missing)}; not used: {_some(skipped) or 'nothing'}{_origin(tensors)}",
        remedy="use weights of the same family and width, with the official names",
    )


def _share(own: Mapping[str, Tensor], required: Collection[str], fitting: Collection[str]) -> float:
    # Batch normalisation statistics have few values but many tensors, and wide layers many values
    # but few tensors: if either kind is missing, the features are useless.
    covered = [name for name in required if name in fitting]
    tensors = len(covered) / len(required)
    total = sum(own[name].numel() for name in required)
    return min(tensors, sum(own[name].numel() for name in covered) / total)


def _reinitialized(
    tensors: Mapping[str, tuple[int, int]], modules: tuple[str, ...]
) -> tuple[str, ...]:
    """Return a phrase for each module with some of `tensors`, with both numbers of classes."""
    phrases = []
    for module in modules:
        numbers = [tensors[name] for name in tensors if _is_below(name, (module,))]
        if numbers:
            wanted, given = numbers[0]
            phrases.append(f"{module} for {wanted} classes instead of {given}")
    return tuple(phrases)


def _modules(names: Sequence[str], chosen: Collection[str]) -> tuple[str, ...]:
    """Return `chosen`, some of `names`, grouped into the largest modules that have no others."""
    mixed = {above for name in names if name not in chosen for above in _above(name)}
    largest: dict[str, None] = {}
    for name in names:
        if name in chosen:
            whole = next((above for above in _above(name) if above not in mixed), name)
            largest[whole] = None
    return tuple(largest)


def _above(name: str) -> list[str]:
    """Return the modules that a tensor is in, from the outermost to the innermost."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _origin(tensors: Mapping[str, Tensor]) -> str:
    """Return which family the tensors fit, as the end of a sentence; empty if none."""
    # Names do not depend on the width, so most families are ruled out by one comparison.
    alike = [
        name
        for name in FAMILIES.names()
        if _shapes_for_any_classes(name, _WIDTHS[0]).keys() <= tensors.keys()
    ]
    for width, name in product(_WIDTHS, alike):
        if width == 1.0 or FAMILIES.load(name).has_widths:
            shapes = _shapes_for_any_classes(name, width)
            if all(tensors[key].shape == shape for key, shape in shapes.items()):
                return f"; the file fits '{name}' of width {width:g}"
    return ""


def _shapes_for_any_classes(name: str, width: float) -> dict[str, torch.Size]:
    family = FAMILIES.load(name)
    with torch.device("meta"):
        own = family.build(width=width, num_classes=1, seed=0).state_dict()
    return {
        tensor: value.shape
        for tensor, value in own.items()
        if _is_learned(tensor) and not _is_below(tensor, family.reinitialized)
    }


def _is_below(name: str, modules: tuple[str, ...]) -> bool:
    return name.startswith(tuple(f"{module}." for module in modules))


def _is_learned(name: str) -> bool:
    # A counter of batches, which many files omit and nothing here reads.
    return not name.endswith("num_batches_tracked")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
