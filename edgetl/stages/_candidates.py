"""The candidates of a job: the model files that its targets list, and the nodes that make them."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgetl.config.candidate import Candidate, ModelFile
from edgetl.config.target import Target
from edgetl.exporters import EXPORTERS
from edgetl.facts.operating_point import OperatingPointFacts
from edgetl.hashing import digest_value
from edgetl.runtime.engines import CPU
from edgetl.stages import Job, Node, Planned
from edgetl.stages._model_chain import deployed_name
from edgetl.store.store import Artifact
from edgetl.types import Precision

if TYPE_CHECKING:  # planning must not wait for numpy
    from edgetl.runtime.contract import Contract


@dataclass(frozen=True, slots=True)
class Timing:
    """Where and how candidates are timed together."""

    device: str
    """Address."""
    threads: int


def candidates_of(job: Job, target: Target) -> Iterator[Candidate]:
    """Yield the candidates of a target, in the order of its file."""
    for variant in target.variants():
        yield variant.of(deployed_name(job))


def wanted(job: Job) -> tuple[ModelFile, ...]:
    """Return every file that a target of `job` lists, once, in the order of the targets."""
    return tuple(
        dict.fromkeys(
            candidate.file for target in job.targets for candidate in candidates_of(job, target)
        )
    )


def float_node(made: Planned, file: ModelFile) -> Node:
    """Return the node of the exported file that `file` is, or is quantized from."""
    return node_of(made["float"], file.float_file)


def file_node(made: Planned, file: ModelFile) -> Node:
    """Return the node that makes the model file."""
    if file.precision is Precision.FP32:
        return float_node(made, file)
    return node_of(made["quantized"], file)


def node_of(nodes: Sequence[Node], key: Hashable) -> Node:
    """Return the node with this key.

    Raises:
        ValueError: If it was not planned.
    """
    for node in nodes:
        if node.key == key:
            return node
    raise ValueError(f"no node was planned for {key}")


def operating_point_node(made: Planned, file: ModelFile) -> Node | None:
    """Return the node that chooses the thresholds of the model file; None if none are stated."""
    nodes = made.get("operating point", ())
    return node_of(nodes, file) if nodes else None


def write_contract(
    provider: str, operating_point: Artifact | None, folder: Path, out: Path
) -> tuple[str, ...]:
    """Write the contract of the model folder `folder`, as a candidate has it, into `out`.

    Args:
        provider: Of the candidate.
        operating_point: With its thresholds; None if the recipe states none.
        folder: Of its file.
        out: The folder to write to.

    Returns:
        The names of the files written; none if the contract is that of the model folder, which is
        for the CPU.
    """
    from edgetl.runtime.contract import CONTRACT_FILE, Contract

    if provider == CPU and operating_point is None:
        return ()
    contract = operating_contract(Contract.load(folder), operating_point)
    dataclasses.replace(contract, provider=provider).save(out)
    return (CONTRACT_FILE,)


def operating_contract(contract: Contract, operating_point: Artifact | None) -> Contract:
    """Return `contract` with the thresholds of `operating_point`, if it has any."""
    facts = operating_point.read(OperatingPointFacts) if operating_point else None
    if facts is None or facts.thresholds is None:
        return contract
    thresholds, nms = facts.thresholds, contract.nms
    if nms is not None:
        # Whatever reaches the threshold of its class takes part in NMS.
        nms = dataclasses.replace(nms, score_threshold=min(thresholds))
    return dataclasses.replace(contract, nms=nms, class_thresholds=thresholds)


def runtime_digest(job: Job, formats: Iterable[str]) -> str:
    """Return the digest of the runtime's files, which predict, are timed, and are put on devices.

    Args:
        job: Has the task, and caches the digests of files.
        formats: Of the models that the runtime will run.
    """
    from edgetl.runtime.bundle import runtime_files

    files = runtime_files(formats, [job.recipe.task])
    return digest_value({name: job.digest(path) for name, path in files.items()})


def size_bytes(folder: Path, name: str) -> int:
    """Return the size of a model of format `name`: its file, and its weights if kept separately."""
    return sum((folder / each).stat().st_size for each in EXPORTERS.load(name).files)
