"""Where the tensors of a file belong in a network, by their names.

Wrappers add prefixes to the names of a network: `model.`, `module._orig_mod.`, `0.`, ... What they
are called does not matter: the one with most of the network's names is used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

_WHOLE_SHARE = 0.9
"""With this share of the names, a prefix contains the network."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The name in the network of each name in a file."""

    places: dict[str, str]
    """Name in the file to name in the network, in the file's order; names without a counterpart are
    unchanged, or empty outside the prefix."""
    prefix: str
    """Before all other names of the file."""
    is_own_layout: bool
    """Whether the names are the network's own, not those of a layout that its family maps."""
    also_under: tuple[str, ...] = ()
    """Other prefixes under which the file holds the same names once more."""


def place_tensors(
    names: Collection[str], own: Collection[str], key_mapping: Mapping[str, str]
) -> Placement:
    """Return where the tensors called `names` belong.

    Args:
        names: In the file.
        own: In the network.
        key_mapping: See `edgetl.models.Family.key_mapping`.
    """
    mapped = {
        foreign + name.removeprefix(ours)
        for foreign, ours in key_mapping.items()
        for name in own
        if name.startswith(ours)
    }
    counts = prefix_counts(names, own)
    foreign_counts = prefix_counts(names, mapped)
    is_own_layout = _most(counts) >= _most(foreign_counts)
    if not is_own_layout:
        counts = foreign_counts
    prefix, *others = _by_count(counts) or [""]
    places = dict.fromkeys(names, "")
    for name in names:
        if name.startswith(prefix):
            places[name] = name.removeprefix(prefix)
            if not is_own_layout:
                places[name] = _mapped(places[name], key_mapping)
    enough = _WHOLE_SHARE * len(own if is_own_layout else mapped)
    return Placement(
        places,
        prefix,
        is_own_layout,
        tuple(other for other in others if prefix and counts[other] >= enough),
    )


def prefix_counts(names: Iterable[str], wanted: Collection[str]) -> Counter[str]:
    """Return how many of `names` are one of `wanted` behind each prefix, which ends in a dot."""
    wanted = frozenset(wanted)
    counts: Counter[str] = Counter()
    for name in names:
        parts = name.split(".")
        for depth in range(len(parts)):
            rest = ".".join(parts[depth:])
            if rest in wanted:
                counts[name.removesuffix(rest)] += 1
    return counts


def _most(counts: Counter[str]) -> int:
    return max(counts.values(), default=0)


def _by_count(counts: Counter[str]) -> list[str]:
    """Return the prefixes, most found first, among equals the shortest."""
    return sorted(counts, key=lambda prefix: (-counts[prefix], len(prefix), prefix))


def _mapped(name: str, key_mapping: Mapping[str, str]) -> str:
    known = next((known for known in key_mapping if name.startswith(known)), "")
    return key_mapping.get(known, "") + name.removeprefix(known)
