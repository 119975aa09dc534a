"""How long the missing steps of a plan will take, from what such steps took in this store."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from edgetl.pipeline.execute import Step
from edgetl.stages import Node
from edgetl.store.manifest import Manifest
from edgetl.store.store import Store


def expected_seconds(steps: Sequence[Step], store: Store) -> dict[Node, float]:
    """Return how long each step will take whose artifact is missing, seconds.

    That is as long as the last step of the same name in the store took, or else the stage's median
    step. Data and settings may have changed, so it only distinguishes minutes from hours. Steps of
    stages that have never run are omitted.
    """
    missing = [step.node for step in steps if step.artifact is None]
    if not missing:
        return {}
    past: dict[str, list[Manifest]] = {}
    for _, artifact in store.artifacts():
        if artifact is not None:
            past.setdefault(artifact.manifest.stage, []).append(artifact.manifest)
    return {node: _seconds(node, past[node.stage]) for node in missing if node.stage in past}


def _seconds(node: Node, past: Sequence[Manifest]) -> float:
    same = [manifest for manifest in past if manifest.label == node.label]
    if same:
        return max(same, key=lambda manifest: manifest.made_at).seconds
    return statistics.median(manifest.seconds for manifest in past)
