"""Explain why a node must run: the fields that differ from the nearest existing artifact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from edgetl.pipeline.execute import Step
from edgetl.stages import Node
from edgetl.store.manifest import Manifest
from edgetl.store.store import Request, Store
from edgetl.types import Fact


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between a request and an existing artifact."""

    field: str
    """Dotted: ``settings.lr``, ``inputs.dataset``, ``tools.torch``, ``plugins.exporter onnx``,
    ``version``."""
    before: Fact
    now: Fact


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one node runs or is reused."""

    label: str
    text: str
    changes: tuple[Change, ...] = ()


def explain(steps: Sequence[Step], store: Store) -> tuple[Reason, ...]:
    """Return, per step, whether it is reused or what has changed."""
    manifests = [artifact.manifest for _, artifact in store.artifacts() if artifact is not None]
    made = {step.node for step in steps if step.artifact is not None}
    return tuple(_reason(step, made, manifests) for step in steps)


def _reason(step: Step, made: AbstractSet[Node], manifests: Sequence[Manifest]) -> Reason:
    label = step.node.label
    if step.artifact is not None:
        return Reason(label, "reused")
    if step.request is None:
        sources = {source.label for source in step.node.inputs.values() if source not in made}
        if not sources:
            return Reason(label, "needs a package that is not installed")
        return Reason(label, f"depends on the result of: {', '.join(sorted(sources))}")
    candidates = [
        (differences(step.request, manifest), manifest)
        for manifest in manifests
        if manifest.stage == step.request.stage
    ]
    same_name = [pair for pair in candidates if pair[1].label == label] or candidates
    if not same_name:
        return Reason(label, "has never run")
    # The fewest changes; among equals the latest.
    changes, nearest = min(
        sorted(same_name, key=lambda pair: pair[1].made_at, reverse=True),
        key=lambda pair: len(pair[0]),
    )
    text = f"differs from '{nearest.label}' made at {nearest.made_at}"
    return Reason(label, text, tuple(changes))


def differences(request: Request, manifest: Manifest) -> list[Change]:
    """Return every field in which `request` differs from the request of `manifest`."""
    before = _flat(
        {
            "version": manifest.version,
            "settings": manifest.settings,
            "inputs": manifest.inputs,
            "tools": manifest.tools,
            "plugins": manifest.plugins,
        }
    )
    now = _flat(
        {
            "version": request.version,
            "settings": request.settings,
            "inputs": request.inputs,
            "tools": request.tools,
            "plugins": request.plugins,
        }
    )
    return [
        Change(field, before.get(field), now.get(field))
        for field in sorted({*before, *now})
        if before.get(field) != now.get(field)
    ]


def _flat(value: Mapping[str, Fact], above: str = "") -> dict[str, Fact]:
    flat: dict[str, Fact] = {}
    for key, inner in value.items():
        name = f"{above}.{key}" if above else key
        if isinstance(inner, Mapping):
            flat |= _flat(inner, name)
        else:
            flat[name] = inner
    return flat
