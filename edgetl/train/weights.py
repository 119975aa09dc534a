"""The weights that a training starts from, and a report of what was loaded."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch
from torch import Tensor, nn

from edgetl.errors import first_of
from edgetl.facts.training import WeightsFacts
from edgetl.hashing import digest_file
from edgetl.models import FAMILIES, Family
from edgetl.train.options import NO_WEIGHTS, NetworkSettings
from edgetl.train.tensor_names import place_tensors, prefix_counts
from edgetl.train.weights_file import UNREADABLE, WeightsError, named_tensors, read_weights

MIN_BACKBONE_SHARE = 0.9
"""If less of the backbone matches, the file was not made for this network."""

_WIDTHS = (1.0, 0.75, 0.5, 0.35, 0.25)
"""Widths that a file is compared with, to report what it was made for."""

_FILE = "file"
_PART = re.compile(r"-\d{5}-of-(?!00001)(\d{5})\.")
"""Of a name such as `model-00001-of-00002.safetensors`."""
_SHOWN = 3


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
    prefix: str = ""
    """Prefix of the network's names in the file."""

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
        if self.prefix:
            words += f", without the prefix '{self.prefix}'"
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
        tensors = fetch_weights(settings.family, settings.weights)
        return family, module, load_into(module, tensors, family, settings.weights)
    path = Path(settings.weights_file)
    if digest_file(path) != settings.weights:
        raise WeightsError(f"{path} was changed after the run began", remedy="run the recipe again")
    try:
        report = load_into(module, _read(path), family, _FILE)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error.message}", remedy=error.remedy) from error
    return family, module, report


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
    fitting, report = _match(module.state_dict(), tensors, family, source)
    module.load_state_dict(fitting, strict=False)
    return report


def check_weights(path: Path, family_name: str, width: float) -> None:
    """Refuse a weights file that `build_network` would refuse; no network is made.

    Raises:
        WeightsError: Like `build_network`.
    """
    family = FAMILIES.load(family_name)
    _match(_state_for_any_classes(family, width), _read(path), family, _FILE)


def _read(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file; raises like `read_weights`, and if it is one of several."""
    part = _PART.search(path.name)
    if part:
        raise WeightsError(
            f"is one of {int(part[1])} files that hold the network together",
            remedy="merge them: load each, join the tensors in one dict and save that",
        )
    return read_weights(path)


def _match(
    own: Mapping[str, Tensor], tensors: Mapping[str, Tensor], family: Family, source: str
) -> tuple[dict[str, Tensor], LoadReport]:
    """Return the tensors that fit by their names in the network, and the report; see `load_into`.

    Args:
        own: The state of the network; its values are not read.
        tensors: As for `load_into`.
        family: Of the network.
        source: The origin, for the report.

    Raises:
        WeightsError: Like `load_into`.
    """
    placement = place_tensors(tensors, own, family.key_mapping)
    if placement.also_under:
        raise _repeated((placement.prefix, *placement.also_under))
    places = placement.places
    is_whole = placement.is_own_layout and family.head not in family.reinitialized
    fitting = {
        at: tensors[name]
        for name, at in places.items()
        if at in own and own[at].shape == tensors[name].shape
    }
    whole = sorted(
        at for at, value in fitting.items()
        if own[at].is_floating_point() and not value.is_floating_point()
    )  # fmt: skip
    if whole:
        raise WeightsError(
            f"{len(whole)} tensors have whole numbers in place of the weights: {_some(whole)}",
            remedy="use the checkpoint of the float network",
        )
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
    report = LoadReport(
        source,
        loaded=tuple(fitting),
        skipped=skipped,
        initialised=_modules(learned, {*learned} - {*fitting} - {*reinitialized}),
        backbone_share=share,
        reinitialized=_reinitialized(reinitialized, family.reinitialized),
        prefix=placement.prefix,
    )
    return fitting, report


def _repeated(prefixes: Sequence[str]) -> WeightsError:
    places = " and ".join(f"'{prefix}'" for prefix in prefixes)
    return WeightsError(
        f"holds the network more than once, under {places}",
        remedy="save one of them alone, for example "
        f"{{name: value for name, value in tensors.items() if name.startswith('{prefixes[0]}')}}",
    )


def fetch_weights(family: str, name: str) -> dict[str, Tensor]:
    """Return the pretrained weights `name` of `family`, from the local cache or the network.

    Raises:
        WeightsError: If they are not available.
    """
    try:
        return named_tensors(FAMILIES.load(family).fetch(name))
    except UNREADABLE as error:
        raise WeightsError(
            f"the '{name}' weights of '{family}' cannot be fetched from "
            f"{FAMILIES.load(family).pretrained[name].source}: {error}",
            remedy="give a local file instead (`weights: FILE.pth` or `FILE.safetensors`), or run "
            "again with a network connection",
        ) from error


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
    alike = {}
    for name in FAMILIES.names():
        known = _shapes_for_any_classes(name, _WIDTHS[0])
        counts = prefix_counts(tensors, known)
        prefix = next((prefix for prefix in counts if counts[prefix] == len(known)), None)
        if prefix is not None:
            alike[name] = prefix
    for width, name in product(_WIDTHS, alike):
        if width == 1.0 or FAMILIES.load(name).has_widths:
            shapes = _shapes_for_any_classes(name, width)
            if all(tensors[alike[name] + key].shape == shape for key, shape in shapes.items()):
                return f"; the file fits '{name}' of width {width:g}"
    return ""


def _shapes_for_any_classes(name: str, width: float) -> dict[str, torch.Size]:
    family = FAMILIES.load(name)
    return {
        tensor: value.shape
        for tensor, value in _state_for_any_classes(family, width).items()
        if _is_learned(tensor) and not _is_below(tensor, family.reinitialized)
    }


def _state_for_any_classes(family: Family, width: float) -> dict[str, Tensor]:
    """Return the state of a network of `family` without values."""
    with torch.device("meta"):
        module = family.build(width=width, num_classes=family.min_classes, seed=0)
    return module.state_dict()


def _is_below(name: str, modules: tuple[str, ...]) -> bool:
    return name.startswith(tuple(f"{module}." for module in modules))


def _is_learned(name: str) -> bool:
    # A counter of batches, which many files omit and nothing here reads.
    return not name.endswith("num_batches_tracked")


def _some(names: Sequence[str]) -> str:
    return first_of(names, _SHOWN)
