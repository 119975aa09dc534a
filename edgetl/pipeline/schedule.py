"""The nodes of one round of a run: which of them can be made now, and the artifacts so far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from edgetl.pipeline.listener import Listener, NodeProgress
from edgetl.pipeline.make import Made, WorkItem, request_of
from edgetl.stages import Node, Stage
from edgetl.store.store import Artifact, Store


class Schedule:
    """Hands out the missing nodes, each once everything that it reads exists.

    Attributes:
        nodes: The nodes of the round, in the order of the plan.
        store: The store that all artifacts are in.
        artifacts: The finished artifacts by node.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        store: Store,
        stages: Mapping[str, Stage],
        listener: Listener,
        *,
        to_make: AbstractSet[Node],
        reported: dict[str, Artifact],
    ) -> None:
        """Take the nodes of a round.

        Args:
            nodes: Each after those that it reads.
            store: Is searched for artifacts.
            stages: By name.
            listener: Receives every artifact.
            to_make: Those that have no artifact at the start. Their stages look at their inputs as
                soon as these exist.
            reported: By key, the artifacts that it received in earlier rounds; gets those of this
                one.
        """
        self.nodes = tuple(nodes)
        self.store = store
        self.artifacts: dict[Node, Artifact] = {}
        self._stages = stages
        self._listener = listener
        self._to_make = to_make
        self._reported = reported
        self._waiting = list(nodes)
        self._in_work: set[str] = set()

    def ready(self) -> Iterator[WorkItem]:
        """Yield every missing node whose inputs exist, once, in the order of the plan.

        Artifacts that exist are reported on the way. The executor calls `finish`; one call of
        `ready` suffices if every item is finished before the next is taken.

        Raises:
            StoreError: If an artifact is damaged.
            EdgetlError: If a stage cannot use an artifact.
        """
        for node in tuple(self._waiting):
            if not all(source in self.artifacts for source in node.inputs.values()):
                continue
            inputs = {name: self.artifacts[source] for name, source in node.inputs.items()}
            request = request_of(node, inputs, self._stages[node.stage])
            if request.key in self._in_work:
                continue  # the same request as that of another node, which is being made
            self._waiting.remove(node)
            if request.key in self._reported:
                self._take(node, self._reported[request.key])
                continue
            artifact = self.store.find(request)
            item = WorkItem(node, request, inputs)
            self._in_work.add(request.key)
            if artifact is None:
                yield item
            else:
                self.finish(item, Made(artifact, reused=True))

    def finish(self, item: WorkItem, made: Made) -> None:
        """Take the artifact of `item`, and report it.

        Raises:
            EdgetlError: If another stage cannot use it.
        """
        self._in_work.remove(item.request.key)
        self._reported[item.request.key] = made.artifact
        self._listener.ends(item.node, made.artifact, reused=made.reused)
        self._take(item.node, made.artifact)

    def stage(self, item: WorkItem) -> Stage:
        """Return the stage of `item`."""
        return self._stages[item.node.stage]

    def progress(self, item: WorkItem) -> NodeProgress:
        """Return what passes the events of `item` on to the listener."""
        return NodeProgress(self._listener, item.node)

    def _take(self, node: Node, artifact: Artifact) -> None:
        """Keep the artifact of `node`, and let the stages that are to read it look at it."""
        self.artifacts[node] = artifact
        for reader in self.nodes:
            if reader in self._to_make and node in reader.inputs.values():
                inputs = {
                    name: self.artifacts[each]
                    for name, each in reader.inputs.items()
                    if each in self.artifacts
                }
                self._stages[reader.stage].foresee(reader.settings, inputs)
